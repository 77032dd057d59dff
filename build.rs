//! Link settings of the Node addon; nothing to do without the binding.
fn main() {
    #[cfg(feature = "node")]
    napi_build::setup();
}
