//! k-means of colours, seeded by k-means++ from a fixed number.

use crate::colour::distance_squared;
use crate::random::Random;

/// Centres of at most `k` clusters; fewer where there are fewer distinct colours.
pub(crate) fn kmeans(samples: &[[f32; 3]], k: usize, rounds: usize, seed: u64) -> Vec<[f32; 3]> {
    let mut centres = spread(samples, k, &mut Random::new(seed));
    for _ in 0..rounds {
        let mut sums = vec![([0.0f64; 3], 0usize); centres.len()];
        for sample in samples {
            let (sum, count) = &mut sums[closest(&centres, *sample).0];
            *count += 1;
            for c in 0..3 {
                sum[c] += f64::from(sample[c]);
            }
        }
        let mut moved = 0.0f32;
        for (centre, (sum, count)) in centres.iter_mut().zip(&sums) {
            if *count > 0 {
                let next = sum.map(|s| (s / *count as f64) as f32);
                moved = moved.max(distance_squared(*centre, next));
                *centre = next;
            }
        }
        if moved < 1e-8 {
            break;
        }
    }
    centres
}

/// Index of the closest centre and the squared distance to it.
pub(crate) fn closest(centres: &[[f32; 3]], colour: [f32; 3]) -> (usize, f32) {
    let mut best = (0, f32::INFINITY);
    for (index, &centre) in centres.iter().enumerate() {
        let distance = distance_squared(centre, colour);
        if distance < best.1 {
            best = (index, distance);
        }
    }
    best
}

fn spread(samples: &[[f32; 3]], k: usize, random: &mut Random) -> Vec<[f32; 3]> {
    let mut centres = Vec::with_capacity(k);
    if samples.is_empty() {
        return centres;
    }
    centres.push(samples[random.below(samples.len())]);
    let mut distances: Vec<f64> = vec![f64::INFINITY; samples.len()];
    while centres.len() < k {
        let newest = centres[centres.len() - 1];
        for (distance, sample) in distances.iter_mut().zip(samples) {
            *distance = distance.min(f64::from(distance_squared(newest, *sample)));
        }
        let total: f64 = distances.iter().sum();
        if total < 1e-9 {
            break;
        }
        let mut left = random.unit() * total;
        let chosen = distances.iter().position(|d| {
            left -= d;
            left <= 0.0
        });
        centres.push(samples[chosen.unwrap_or(samples.len() - 1)]);
    }
    centres
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn three_colours_give_three_centres() {
        let colours = [[0.1, 0.2, 0.3], [0.9, 0.1, 0.1], [0.5, 0.5, 0.9]];
        let samples: Vec<[f32; 3]> = (0..300).map(|i| colours[i % 3]).collect();
        let centres = kmeans(&samples, 8, 10, 1);
        assert_eq!(centres.len(), 3);
        for colour in colours {
            assert!(closest(&centres, colour).1 < 1e-6);
        }
    }
}
