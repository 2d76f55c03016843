# Made-up sequences against a database of them.
awk 'BEGIN { srand(7); for (n = 0; n < 3000; n++) { print ">s" n; s = ""; for (i = 0; i < 1200; i++) s = s substr("ACGT", int(rand() * 4) + 1, 1); print s } }' > db.fa
head -n 400 db.fa > query.fa
makeblastdb -in db.fa -dbtype nucl -out db > /dev/null
while :; do blastn -task blastn -query query.fa -db db -num_threads 1 -word_size 11 -out hits; done
