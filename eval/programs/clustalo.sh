# An alignment of made-up proteins.
awk 'BEGIN { srand(7); for (n = 0; n < 120; n++) { s = ""; for (i = 0; i < 300; i++) s = s substr("ACDEFGHIKLMNPQRSTVWY", int(rand() * 20) + 1, 1); print ">p" n "\n" s } }' > p.fa
while :; do clustalo --threads=1 --force -i p.fa -o a.fa; done
