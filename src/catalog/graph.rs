//! What stands against what, by what it needs.

use crate::sql::Obstacle;

/// One thing that passes or does not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Node(u32);

/// Things, what stands against each, and which need which. A thing that needs another which does
/// not pass does not pass itself, round all circles.
#[derive(Debug, Default)]
pub(super) struct Graph {
    obstacles: Vec<Option<Obstacle>>,
    needs: Vec<Need>,
}

#[derive(Debug, Clone, Copy)]
struct Need {
    on: Node,
    who: Node,
    told: Told,
}

/// What is told of a thing that needs one which does not pass.
#[derive(Debug, Clone, Copy)]
pub(super) enum Told {
    /// This.
    This(Obstacle),
    /// What is told of the other.
    Same,
}

impl Graph {
    /// Another thing; `None`: nothing stands against it by itself.
    pub fn add(&mut self, obstacle: Option<Obstacle>) -> Node {
        self.obstacles.push(obstacle);
        // There are fewer oids than that.
        Node(u32::try_from(self.obstacles.len() - 1).unwrap_or(u32::MAX))
    }

    /// This stands against it, if nothing else does already.
    pub fn refuse(&mut self, node: Node, why: Obstacle) {
        if let Some(obstacle) = self.obstacles.get_mut(node.0 as usize) {
            obstacle.get_or_insert(why);
        }
    }

    /// `who` passes only if `on` does.
    pub fn need(&mut self, who: Node, on: Node, told: Told) {
        self.needs.push(Need { on, who, told });
    }

    /// What stands against it, after [`Graph::settle`] by all that it needs.
    pub fn obstacle(&self, node: Node) -> Option<Obstacle> {
        self.obstacles.get(node.0 as usize).copied().flatten()
    }

    /// Lets what does not pass take with it all that need it.
    pub fn settle(&mut self) {
        self.needs.sort_unstable_by_key(|need| need.on);
        let refused = (0..).zip(&self.obstacles);
        let mut waiting: Vec<Node> = refused
            .filter(|(_, obstacle)| obstacle.is_some())
            .map(|(index, _)| Node(index))
            .collect();
        while let Some(on) = waiting.pop() {
            let Some(why) = self.obstacle(on) else {
                continue;
            };
            let from = self.needs.partition_point(|need| need.on < on);
            for need in self.needs.get(from..).unwrap_or_default() {
                if need.on != on {
                    break;
                }
                let told = match need.told {
                    Told::This(obstacle) => obstacle,
                    Told::Same => why,
                };
                if let Some(obstacle @ None) = self.obstacles.get_mut(need.who.0 as usize) {
                    *obstacle = Some(told);
                    waiting.push(need.who);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_needs_what_does_not_pass_does_not_pass_round_all_circles() {
        let mut graph = Graph::default();
        let volatile = graph.add(Some(Obstacle::VolatileFunction));
        let inner = graph.add(None);
        let outer = graph.add(None);
        let apart = graph.add(None);
        let view = Told::This(Obstacle::View);
        graph.need(outer, inner, Told::Same);
        graph.need(inner, outer, Told::Same);
        graph.need(inner, volatile, view);
        graph.need(volatile, apart, view);
        graph.settle();
        assert_eq!(graph.obstacle(volatile), Some(Obstacle::VolatileFunction));
        assert_eq!(graph.obstacle(inner), Some(Obstacle::View));
        assert_eq!(graph.obstacle(outer), Some(Obstacle::View));
        assert_eq!(graph.obstacle(apart), None);
    }
}
