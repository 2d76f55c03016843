# Reads of a made-up genome, mapped to it.
awk 'BEGIN { srand(7); s = ""; for (i = 0; i < 400000; i++) s = s substr("ACGT", int(rand() * 4) + 1, 1); print ">g\n" s > "g.fa"; for (n = 0; n < 4000; n++) print ">r" n "\n" substr(s, int(rand() * 395000) + 1, 5000) > "r.fa" }'
while :; do minimap2 -t 1 -a g.fa r.fa > /dev/null 2>&1; done
