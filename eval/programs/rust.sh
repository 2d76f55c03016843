# A program of many generic functions, compiled again and again by rustc.
awk 'BEGIN { for (i = 0; i < 100; i++) printf "pub fn f%d<T: Clone + std::fmt::Debug + Ord>(v: &[T]) -> String { let mut m = std::collections::BTreeMap::new(); for x in v { *m.entry(x.clone()).or_insert(%d) += 1; } format!(\"{m:?}\") }\n", i, i
    print "fn main() {"; for (i = 0; i < 100; i++) printf "println!(\"{}\", f%d(&[%d, 2, 3]));", i, i; print "}" }' > big.rs
while :; do rustc -O --edition 2021 big.rs -o big; done
