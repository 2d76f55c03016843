# Optimisation, integration, sparse systems and special functions.
export OPENBLAS_NUM_THREADS=1
exec /usr/bin/python3 -c '
import numpy as n, scipy.optimize as o, scipy.integrate as i, scipy.sparse as s, scipy.sparse.linalg as l, scipy.special as p
while True:
    o.minimize(o.rosen, n.ones(20) * 1.5, method="BFGS")
    i.solve_ivp(lambda t, y: [y[1], (1 - y[0] ** 2) * y[1] - y[0]], (0, 40), [2, 0])
    a = s.diags([-1, 2.01, -1], [-1, 0, 1], shape=(20000, 20000), format="csc")
    l.spsolve(a, n.ones(20000))
    p.jv(n.arange(50), 3.3)
'
