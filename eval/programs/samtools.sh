# Alignments are sorted, compressed and counted.
awk 'BEGIN { srand(7); print "@SQ\tSN:c\tLN:9000000"; for (n = 0; n < 300000; n++) { s = ""; for (i = 0; i < 20; i++) s = s substr("ACGTAGGTCA", int(rand() * 10) + 1, 1) "ACGTA"; print "r" n "\t0\tc\t" int(rand() * 8000000) + 1 "\t60\t120M\t*\t0\t0\t" s "\t*" } }' > in.sam
while :; do samtools sort -o out.bam in.sam 2> /dev/null; samtools index out.bam; samtools depth out.bam > depth; done
