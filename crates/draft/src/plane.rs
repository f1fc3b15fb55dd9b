//! A rectangular grid of values, row by row: masks, grey and colour images.

use std::borrow::Cow;

/// Jobs that the rows of a plane are divided into: enough to balance uneven rows.
const JOBS: usize = 64;
/// Least number of values per job: waking another thread for fewer does not pay.
const FEW: usize = 1 << 10;

type Job<'a> = Box<dyn FnOnce() + Send + 'a>;

/// Runs jobs on all processors. Not generic: the machinery of parallel iterators, compiled
/// anew for every closure, took most of this crate's build.
fn run_all(jobs: Vec<Job<'_>>) {
    rayon::scope(|scope| jobs.into_iter().for_each(|job| scope.spawn(move |_| job())));
}

/// Calls `work` with the number and the values of each row of `width`, rows in parallel.
pub(crate) fn for_rows<T: Send>(data: &mut [T], width: usize, work: impl Fn(usize, &mut [T]) + Sync) {
    if data.is_empty() || width == 0 {
        return;
    }
    let jobs = (data.len() / FEW).clamp(1, JOBS);
    if jobs == 1 {
        return data.chunks_mut(width).enumerate().for_each(|(y, row)| work(y, row));
    }
    let rows = (data.len() / width).div_ceil(jobs);
    let work = &work;
    let chunks = data.chunks_mut(rows * width).enumerate();
    let jobs = chunks.map(|(k, chunk)| -> Job<'_> {
        Box::new(move || chunk.chunks_mut(width).enumerate().for_each(|(y, row)| work(k * rows + y, row)))
    });
    run_all(jobs.collect());
}

/// `width * height` values, row by row.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Plane<T> {
    pub width: usize,
    pub height: usize,
    pub data: Vec<T>,
}

pub(crate) type Mask = Plane<bool>;
pub(crate) type Gray = Plane<f32>;
/// Three channels, sRGB 0 to 1 or Oklab, as the name of the variable says.
pub(crate) type Colour = Plane<[f32; 3]>;
pub(crate) type Rgb8 = Plane<[u8; 3]>;

/// Half-open rectangle in pixels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Rect {
    pub x0: usize,
    pub y0: usize,
    pub x1: usize,
    pub y1: usize,
}

impl Rect {
    pub(crate) fn width(&self) -> usize {
        self.x1 - self.x0
    }

    pub(crate) fn height(&self) -> usize {
        self.y1 - self.y0
    }

    /// Grown by `pad` on each side, cut to a canvas of `width` x `height`.
    pub(crate) fn padded(&self, pad: usize, width: usize, height: usize) -> Rect {
        Rect {
            x0: self.x0.saturating_sub(pad),
            y0: self.y0.saturating_sub(pad),
            x1: (self.x1 + pad).min(width),
            y1: (self.y1 + pad).min(height),
        }
    }

    /// The same rectangle, `x` pixels further right and `y` further down.
    pub(crate) fn moved(&self, x: usize, y: usize) -> Rect {
        Rect { x0: self.x0 + x, y0: self.y0 + y, x1: self.x1 + x, y1: self.y1 + y }
    }

    pub(crate) fn union(&self, other: &Rect) -> Rect {
        Rect {
            x0: self.x0.min(other.x0),
            y0: self.y0.min(other.y0),
            x1: self.x1.max(other.x1),
            y1: self.y1.max(other.y1),
        }
    }
}

impl<T: Copy + Send + Sync> Plane<T> {
    pub(crate) fn new(width: usize, height: usize, value: T) -> Self {
        Self { width, height, data: vec![value; width * height] }
    }

    /// Fills a plane from a function of x and y, rows in parallel.
    pub(crate) fn from_fn(width: usize, height: usize, f: impl Fn(usize, usize) -> T + Sync) -> Self {
        if width == 0 || height == 0 {
            return Self { width, height, data: Vec::new() };
        }
        let mut data = vec![f(0, 0); width * height];
        for_rows(&mut data, width, |y, row| {
            row.iter_mut().enumerate().for_each(|(x, value)| *value = f(x, y));
        });
        Self { width, height, data }
    }

    pub(crate) fn same_size<U: Copy + Send + Sync>(&self, value: U) -> Plane<U> {
        Plane::new(self.width, self.height, value)
    }

    pub(crate) fn at(&self, x: usize, y: usize) -> T {
        self.data[y * self.width + x]
    }

    pub(crate) fn set(&mut self, x: usize, y: usize, value: T) {
        self.data[y * self.width + x] = value;
    }

    pub(crate) fn row(&self, y: usize) -> &[T] {
        &self.data[y * self.width..(y + 1) * self.width]
    }

    pub(crate) fn map<U: Copy + Send + Sync>(&self, f: impl Fn(T) -> U + Sync + Send) -> Plane<U> {
        let Some(&first) = self.data.first() else {
            return Plane { width: self.width, height: self.height, data: Vec::new() };
        };
        let mut data = vec![f(first); self.data.len()];
        for_rows(&mut data, self.width, |y, row| {
            row.iter_mut().zip(self.row(y)).for_each(|(out, &value)| *out = f(value));
        });
        Plane { width: self.width, height: self.height, data }
    }

    /// Joins two planes of one size, value by value.
    pub(crate) fn zip<U, V>(&self, other: &Plane<U>, f: impl Fn(T, U) -> V + Sync + Send) -> Plane<V>
    where
        U: Copy + Send + Sync,
        V: Copy + Send + Sync,
    {
        assert_eq!((self.width, self.height), (other.width, other.height), "planes of one picture have one size");
        let (Some(&a), Some(&b)) = (self.data.first(), other.data.first()) else {
            return Plane { width: self.width, height: self.height, data: Vec::new() };
        };
        let mut data = vec![f(a, b); self.data.len()];
        for_rows(&mut data, self.width, |y, row| {
            row.iter_mut().zip(self.row(y)).zip(other.row(y)).for_each(|((out, &a), &b)| *out = f(a, b));
        });
        Plane { width: self.width, height: self.height, data }
    }

    /// This plane, with the values of `other` where `wanted` is set.
    pub(crate) fn with(&self, other: &Plane<T>, wanted: &Mask) -> Self {
        let sizes = [(other.width, other.height), (wanted.width, wanted.height)];
        assert!(sizes.iter().all(|&size| size == (self.width, self.height)), "planes of one picture have one size");
        let mut out = self.clone();
        for_rows(&mut out.data, self.width, |y, row| {
            for ((value, &other), &wanted) in row.iter_mut().zip(other.row(y)).zip(wanted.row(y)) {
                if wanted {
                    *value = other;
                }
            }
        });
        out
    }

    /// The part in `rect`, without a copy if that is the whole plane.
    pub(crate) fn part(&self, rect: Rect) -> Cow<'_, Self> {
        let all = Rect { x0: 0, y0: 0, x1: self.width, y1: self.height };
        if rect == all { Cow::Borrowed(self) } else { Cow::Owned(self.crop(rect)) }
    }

    pub(crate) fn crop(&self, rect: Rect) -> Self {
        let mut data = Vec::with_capacity(rect.width() * rect.height());
        for y in rect.y0..rect.y1 {
            data.extend_from_slice(&self.row(y)[rect.x0..rect.x1]);
        }
        Self { width: rect.width(), height: rect.height(), data }
    }

    /// Writes all of `patch` at the corner of `rect`.
    pub(crate) fn put(&mut self, rect: Rect, patch: &Plane<T>) {
        for y in 0..patch.height {
            let start = (rect.y0 + y) * self.width + rect.x0;
            self.data[start..start + patch.width].copy_from_slice(patch.row(y));
        }
    }

    /// Writes `patch` at the corner of `rect` where `wanted` is set.
    pub(crate) fn paste(&mut self, rect: Rect, patch: &Plane<T>, wanted: &Mask) {
        for y in 0..patch.height {
            let start = (rect.y0 + y) * self.width + rect.x0;
            let target = &mut self.data[start..start + patch.width];
            for ((t, &value), &want) in target.iter_mut().zip(patch.row(y)).zip(wanted.row(y)) {
                if want {
                    *t = value;
                }
            }
        }
    }
}

impl Mask {
    pub(crate) fn count(&self) -> usize {
        self.data.iter().filter(|&&v| v).count()
    }

    pub(crate) fn any(&self) -> bool {
        self.data.contains(&true)
    }

    /// This mask, which lies at `from` in the picture, cut or widened to `to`.
    #[cfg(feature = "networks")]
    pub(crate) fn on(&self, from: Rect, to: Rect) -> Mask {
        Plane::from_fn(to.width(), to.height(), |x, y| {
            let (x, y) = ((x + to.x0).wrapping_sub(from.x0), (y + to.y0).wrapping_sub(from.y0));
            x < self.width && y < self.height && self.at(x, y)
        })
    }

    /// Share of set pixels, 0 to 1.
    pub(crate) fn share(&self) -> f32 {
        self.count() as f32 / self.data.len().max(1) as f32
    }

    pub(crate) fn and(&self, other: &Mask) -> Mask {
        self.zip(other, |a, b| a & b)
    }

    pub(crate) fn or(&self, other: &Mask) -> Mask {
        self.zip(other, |a, b| a | b)
    }

    pub(crate) fn minus(&self, other: &Mask) -> Mask {
        self.zip(other, |a, b| a & !b)
    }

    pub(crate) fn not(&self) -> Mask {
        self.map(|v| !v)
    }

    /// Set pixels side by side in row `y`, half-open.
    pub(crate) fn runs(&self, y: usize) -> impl Iterator<Item = (usize, usize)> + '_ {
        let row = self.row(y);
        let mut at = 0;
        std::iter::from_fn(move || {
            let from = at + row[at..].iter().position(|&set| set)?;
            at = row[from..].iter().position(|&set| !set).map_or(row.len(), |length| from + length);
            Some((from, at))
        })
    }

    /// The places of the pixels, row by row.
    pub(crate) fn places(&self) -> impl Iterator<Item = (usize, usize)> + '_ {
        (0..self.height).flat_map(|y| (0..self.width).map(move |x| (x, y))).filter(|&(x, y)| self.at(x, y))
    }

    /// Smallest rectangle that holds every set pixel.
    pub(crate) fn bounds(&self) -> Option<Rect> {
        let mut found: Option<Rect> = None;
        for y in 0..self.height {
            let row = self.row(y);
            let Some(x0) = row.iter().position(|&v| v) else { continue };
            let x1 = row.iter().rposition(|&v| v).map_or(x0, |x| x) + 1;
            let here = Rect { x0, y0: y, x1, y1: y + 1 };
            found = Some(found.map_or(here, |rect| rect.union(&here)));
        }
        found
    }
}
