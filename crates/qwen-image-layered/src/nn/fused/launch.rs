/// Blocks of a launch along x and y, and threads of a block along x and y.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Launch {
    pub grid: [u32; 2],
    pub block: [u32; 2],
}

impl Launch {
    /// A warp for each of `rows` rows.
    pub fn of_warps(rows: u32) -> Self {
        const ROWS: u32 = 8;
        Self { grid: [rows.div_ceil(ROWS), 1], block: [32, ROWS] }
    }

    /// Threads for `width` values in each of `rows` rows; a row is y of the grid, which ends at 65,535.
    pub fn of_rows(rows: u32, width: u32) -> Self {
        const THREADS: u32 = 256;
        Self { grid: [width.div_ceil(THREADS), rows.min(65_535)], block: [THREADS, 1] }
    }

    /// Threads that go over `pairs` pairs of values, several each where there are many.
    pub fn of_pairs(pairs: u64) -> Self {
        const THREADS: u32 = 256;
        let blocks = pairs.div_ceil(u64::from(THREADS)).clamp(1, 2048);
        Self { grid: [blocks as u32, 1], block: [THREADS, 1] }
    }
}
