# A box of water.
export GMX_MAXBACKUP=-1
gmx -quiet solvate -cs spc216.gro -box 2.5 2.5 2.5 -o water.gro > /dev/null
molecules=$(grep -c ' OW ' water.gro)
printf '#include "oplsaa.ff/forcefield.itp"\n#include "oplsaa.ff/spce.itp"\n[ system ]\nwater\n[ molecules ]\nSOL %s\n' "$molecules" > water.top
printf 'integrator = md\nnsteps = -1\ndt = 0.001\ncutoff-scheme = Verlet\ncoulombtype = PME\nrcoulomb = 0.9\nrvdw = 0.9\ntcoupl = v-rescale\ntc-grps = System\ntau-t = 0.1\nref-t = 300\ngen-vel = yes\n' > md.mdp
gmx -quiet grompp -f md.mdp -c water.gro -p water.top -o md.tpr -maxwarn 5 > /dev/null
exec gmx -quiet mdrun -nt 1 -s md.tpr > /dev/null
