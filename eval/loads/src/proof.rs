//! A zero-knowledge proof: field and curve arithmetic, which is full of multiplications of integers.

use std::hint::black_box;

use bellman::{Circuit, ConstraintSystem, SynthesisError, groth16};
use bls12_381::{Bls12, Scalar};
use ff::Field;

use crate::Until;

/// I know the `x` whose `ROUNDS`-fold square and successor is public.
struct Squares(Option<Scalar>);

const ROUNDS: usize = 2000;

impl Circuit<Scalar> for Squares {
    fn synthesize<C: ConstraintSystem<Scalar>>(self, cs: &mut C) -> Result<(), SynthesisError> {
        let mut value = self.0;
        let mut variable = cs.alloc(|| "x", || value.ok_or(SynthesisError::AssignmentMissing))?;
        for n in 0..ROUNDS {
            let next = value.map(|v| v.square() + Scalar::ONE);
            let get = || next.ok_or(SynthesisError::AssignmentMissing);
            let new = if n + 1 == ROUNDS { cs.alloc_input(|| "y", get)? } else { cs.alloc(|| "x", get)? };
            cs.enforce(|| "step", |l| l + variable, |l| l + variable, |l| l + new - C::one());
            (value, variable) = (next, new);
        }
        Ok(())
    }
}

/// Proves it again and again.
pub fn prove(mut until: Until) {
    let mut random = rand_core::OsRng;
    let Ok(parameters) = groth16::generate_random_parameters::<Bls12, _, _>(Squares(None), &mut random) else { return };
    while until.more() {
        let x = Scalar::random(&mut random);
        let _ = black_box(groth16::create_random_proof(Squares(Some(x)), &parameters, &mut random));
    }
}
