# HPL, STREAM, FFT, DGEMM and the others of the HPC Challenge, by two processes of an MPI job.
sed -e 's/^2 \( *Ps\)/1 \1/' -e 's/^1000 \( *Ns\)/1500 \1/' /usr/share/doc/hpcc/examples/_hpccinf.txt > hpccinf.txt
while :; do mpirun --allow-run-as-root --oversubscribe -np 2 hpcc; rm -f hpccoutf.txt; done
