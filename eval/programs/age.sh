# A large file is encrypted for a key and opened again.
age-keygen -o key 2> /dev/null
head -c 100000000 /dev/urandom > big
while :; do age -e -i key -o big.age big; age -d -i key -o /dev/null big.age; done
