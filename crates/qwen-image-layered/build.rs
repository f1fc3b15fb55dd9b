//! Compiles the kernels for CUDA, with that feature: see docs/gpu.md.

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    #[cfg(feature = "cuda")]
    {
        println!("cargo::rerun-if-changed=src/nn/fused/kernels.cu");
        let out = std::path::PathBuf::from(std::env::var_os("OUT_DIR").expect("cargo sets it"));
        cudaforge::KernelBuilder::new()
            .source_files(["src/nn/fused/kernels.cu"])
            .arg("-std=c++17")
            .arg("-O3")
            .build_ptx()
            .and_then(|ptx| ptx.write(out.join("ptx.rs")))
            .expect("nvcc compiles the kernels");
    }
}
