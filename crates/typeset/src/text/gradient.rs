use super::Gradient;

impl Gradient {
    /// The colour at a point, px from the block's position before the turn: straight alpha, 0 to 1.
    pub(crate) fn at(&self, x: f32, y: f32) -> [f32; 4] {
        let (dx, dy) = (self.end.x - self.start.x, self.end.y - self.start.y);
        let length = dx * dx + dy * dy;
        let way = ((x - self.start.x) * dx + (y - self.start.y) * dy) / length;
        // A gradient without length is its last colour, as in SVG.
        let way = if length > 0.0 { way } else { 1.0 };
        let after = self.stops.iter().position(|stop| stop.offset > way);
        match after {
            Some(0) => self.stops.first().map_or([0.0; 4], |stop| stop.colour.unit()),
            None => self.stops.last().map_or([0.0; 4], |stop| stop.colour.unit()),
            Some(after) => {
                let (one, two) = (self.stops[after - 1], self.stops[after]);
                let share = (way - one.offset) / (two.offset - one.offset);
                let (one, two) = (one.colour.unit(), two.colour.unit());
                std::array::from_fn(|n| one[n] + (two[n] - one[n]) * share)
            }
        }
    }
}
