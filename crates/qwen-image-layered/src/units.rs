/// Bytes in the unit that drivers and GPU tools use: `21.3 GB`, of 2^30 bytes each.
pub fn gigabytes(bytes: u64) -> String {
    format!("{:.1} GB", bytes as f64 / f64::from(1 << 30))
}
