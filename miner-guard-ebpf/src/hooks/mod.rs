//! One file per place in the kernel. `objects/` binds them to program sections.

pub mod connect;
pub mod egress;
pub mod exec;
pub mod fpu;
pub mod frame;
pub mod ingress;
pub mod isolated;
pub mod option;
pub mod sample;
