//! Remote calls: gRPC, JSON-RPC as Electrum speaks it, and MPI.

use super::Operation;

pub const OPERATIONS: &[Operation] = &[
    Operation {
        name: "gRPC: calls and streams",
        part: "grpc",
        run: |room, part| {
            room.serve(part, 50051, "exec python3 grpc_echo.py serve")?;
            room.run(part, "python3 grpc_echo.py call")
        },
    },
    Operation {
        name: "JSON-RPC as Electrum speaks it: plain and over TLS",
        part: "electrum",
        run: |room, part| {
            room.serve(part, 50001, "exec python3 electrum.py serve")?;
            let said = room.run(part, "python3 electrum.py talk; python3 electrum.py talk tls")?;
            Ok(said.lines().collect::<Vec<_>>().join(", "))
        },
    },
    Operation {
        name: "MPI over TCP: Open MPI",
        part: "mpi",
        run: |room, part| {
            room.run(
                part,
                "export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1 TMPDIR=/tmp
                 mpirun.openmpi --mca pml ob1 --mca btl tcp,self --mca btl_tcp_if_include lo -n 2 --oversubscribe python3 mpi.py",
            )
        },
    },
];
