//! Is this file, or this process, a miner? Each identifier yields evidence.
