//! Minimum cut by Dinic's method: small graphs of segments, whole numbers.

use std::collections::VecDeque;

struct Arc {
    to: u32,
    left: i64,
}

/// A graph with a source and a sink.
pub(crate) struct Graph {
    arcs: Vec<Arc>,
    of_node: Vec<Vec<u32>>,
}

impl Graph {
    /// `nodes` nodes besides the source and the sink.
    pub(crate) fn new(nodes: usize) -> Self {
        Self { arcs: Vec::new(), of_node: vec![Vec::new(); nodes + 2] }
    }

    fn source(&self) -> usize {
        self.of_node.len() - 2
    }

    fn sink(&self) -> usize {
        self.of_node.len() - 1
    }

    fn connect(&mut self, a: usize, b: usize, forth: i64, back: i64) {
        self.of_node[a].push(self.arcs.len() as u32);
        self.arcs.push(Arc { to: b as u32, left: forth });
        self.of_node[b].push(self.arcs.len() as u32);
        self.arcs.push(Arc { to: a as u32, left: back });
    }

    /// Cost of separating two neighbours.
    pub(crate) fn neighbours(&mut self, a: usize, b: usize, cost: i64) {
        self.connect(a, b, cost, cost);
    }

    /// A leaning of a node: positive to the source's side, negative to the sink's.
    pub(crate) fn leaning(&mut self, node: usize, value: i64) {
        let (source, sink) = (self.source(), self.sink());
        if value > 0 {
            self.connect(source, node, value, 0);
        } else if value < 0 {
            self.connect(node, sink, -value, 0);
        }
    }

    /// Which nodes are on the source's side of the least cut.
    pub(crate) fn cut(mut self) -> Vec<bool> {
        loop {
            let levels = self.levels();
            if levels[self.sink()] == u32::MAX {
                return levels[..self.of_node.len() - 2].iter().map(|&level| level != u32::MAX).collect();
            }
            let mut next = vec![0; self.of_node.len()];
            while self.push(&levels, &mut next) > 0 {}
        }
    }

    fn levels(&self) -> Vec<u32> {
        let mut levels = vec![u32::MAX; self.of_node.len()];
        levels[self.source()] = 0;
        let mut queue = VecDeque::from([self.source()]);
        while let Some(node) = queue.pop_front() {
            for &arc in &self.of_node[node] {
                let Arc { to, left } = self.arcs[arc as usize];
                if left > 0 && levels[to as usize] == u32::MAX {
                    levels[to as usize] = levels[node] + 1;
                    queue.push_back(to as usize);
                }
            }
        }
        levels
    }

    /// Pushes along one path of the level graph; 0 when there is none.
    fn push(&mut self, levels: &[u32], next: &mut [usize]) -> i64 {
        let mut path: Vec<u32> = Vec::new();
        let mut node = self.source();
        while node != self.sink() {
            let step = self.of_node[node][next[node]..].iter().position(|&arc| {
                let Arc { to, left } = self.arcs[arc as usize];
                left > 0 && levels[to as usize] == levels[node].wrapping_add(1)
            });
            match step {
                Some(offset) => {
                    next[node] += offset;
                    let arc = self.of_node[node][next[node]];
                    path.push(arc);
                    node = self.arcs[arc as usize].to as usize;
                }
                None => {
                    let Some(arc) = path.pop() else { return 0 };
                    node = self.arcs[arc as usize ^ 1].to as usize;
                    next[node] += 1;
                }
            }
        }
        let flow = path.iter().map(|&arc| self.arcs[arc as usize].left).min().unwrap_or(0);
        for arc in path {
            self.arcs[arc as usize].left -= flow;
            self.arcs[arc as usize ^ 1].left += flow;
        }
        flow
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Against all cuts of small random graphs.
    #[test]
    fn the_cut_is_the_cheapest_of_all() {
        for seed in 0..30 {
            let mut random = crate::random::Random::new(seed);
            let nodes = 7;
            let leaning: Vec<i64> = (0..nodes).map(|_| random.below(21) as i64 - 10).collect();
            let links: Vec<(usize, usize, i64)> = (0..12)
                .map(|_| (random.below(nodes), random.below(nodes), random.below(8) as i64))
                .filter(|l| l.0 != l.1)
                .collect();
            let cost = |sides: &[bool]| {
                let lean: i64 =
                    (0..nodes).map(|k| if sides[k] { (-leaning[k]).max(0) } else { leaning[k].max(0) }).sum();
                lean + links.iter().filter(|l| sides[l.0] != sides[l.1]).map(|l| l.2).sum::<i64>()
            };
            let mut graph = Graph::new(nodes);
            leaning.iter().enumerate().for_each(|(k, &v)| graph.leaning(k, v));
            links.iter().for_each(|&(a, b, c)| graph.neighbours(a, b, c));
            let found = cost(&graph.cut());
            let least = (0..1 << nodes)
                .map(|bits: u32| cost(&(0..nodes).map(|k| bits >> k & 1 == 1).collect::<Vec<_>>()))
                .min();
            assert_eq!(Some(found), least, "seed {seed}");
        }
    }
}
