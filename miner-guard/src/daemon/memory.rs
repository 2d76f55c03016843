//! Memory that only the start and a reload need goes back to the system.

/// Returns freed heap. Reading the kernel's types and loading objects leaves some 15 MB of it, which the guard, on
/// every node for years, has no use for.
pub(super) fn give_back() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    {
        use std::ffi::c_int;
        unsafe extern "C" {
            /// malloc_trim(3): thread-safe, and without preconditions.
            safe fn malloc_trim(pad: usize) -> c_int;
        }
        // The result says only whether anything was returned.
        let _ = malloc_trim(0);
    }
}
