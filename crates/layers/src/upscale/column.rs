//! The layers at one pixel of the large size, and their alphas fitted to the input.

/// How often all alphas are fitted in turn; two edges at one place need more than one.
const ROUNDS: usize = 3;

/// One layer at one pixel. Colours and alpha are 0 to 1, straight.
#[derive(Debug, Clone, Copy)]
pub(super) struct Member {
    pub(super) colour: [f32; 3],
    pub(super) alpha: f32,
    /// The alpha that the engine's layer says.
    pub(super) expected: f32,
    /// How strongly it is held to that, as a squared colour difference; none where the alpha is known.
    pub(super) hold: Option<f32>,
}

impl Member {
    pub(super) fn is_edge(&self) -> bool {
        self.hold.is_some()
    }

    pub(super) fn pixel(&self) -> [u8; 4] {
        let byte = |value: f32| (value * 255.0).round() as u8;
        let alpha = byte(self.alpha);
        if alpha == 0 { [0; 4] } else { [byte(self.colour[0]), byte(self.colour[1]), byte(self.colour[2]), alpha] }
    }

    fn over(&self, below: [f32; 4]) -> [f32; 4] {
        let rest = 1.0 - self.alpha;
        let [r, g, b] = self.colour;
        let own = [r, g, b, 1.0];
        std::array::from_fn(|channel| own[channel] * self.alpha + below[channel] * rest)
    }
}

/// Moves the alphas of the edges in `column` (the lowest first) so that its
/// composite comes near `wanted` (8 bit, straight).
pub(super) fn fit_alphas(column: &mut [Member], wanted: [u8; 4]) {
    let alpha = f32::from(wanted[3]) / 255.0;
    let wanted: [f32; 4] = std::array::from_fn(|channel| match channel {
        3 => alpha,
        channel => f32::from(wanted[channel]) / 255.0 * alpha,
    });
    for _ in 0..ROUNDS {
        for index in (0..column.len()).rev() {
            if let Some(hold) = column[index].hold {
                fit_one(column, index, hold, wanted);
            }
        }
    }
}

fn fit_one(column: &mut [Member], index: usize, hold: f32, wanted: [f32; 4]) {
    let through: f32 = column[index + 1..].iter().map(|member| 1.0 - member.alpha).product();
    if through < 0.02 {
        return;
    }
    let below = column[..index].iter().fold([0.0; 4], |below, member| member.over(below));
    let composite = column[index..].iter().fold(below, |below, member| member.over(below));
    let member = &mut column[index];
    let [r, g, b] = member.colour;
    let own = [r, g, b, 1.0];
    let (mut along, mut power) = (0.0, 0.0);
    for channel in 0..4 {
        let slope = through * (own[channel] - below[channel]);
        along += slope * (wanted[channel] - composite[channel]);
        power += slope * slope;
    }
    let change = (along + hold * (member.expected - member.alpha)) / (power + hold);
    member.alpha = (member.alpha + change).clamp(0.0, 1.0);
}
