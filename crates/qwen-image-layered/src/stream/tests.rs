//! Streaming with a device that does everything as late as it can.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::thread::ThreadId;
use std::time::Duration;

use super::ring::Ring;
use super::staging::{STAGED, plain};
use super::*;

/// A device with a queue for each thread, of which it does nothing before somebody waits for it.
#[derive(Default)]
struct Device {
    queues: Mutex<Queues>,
}

#[derive(Default)]
struct Queues {
    of_thread: HashMap<ThreadId, Queue>,
    /// What each part on the device holds.
    parts: BTreeMap<usize, usize>,
    most: usize,
    /// What the parts held that were worked with.
    used: Vec<usize>,
}

#[derive(Default)]
struct Queue {
    work: VecDeque<Work>,
    given: usize,
    done: usize,
}

enum Work {
    /// Makes a part of what is in a buffer by then.
    Copy {
        part: usize,
        buffer: Buffer,
    },
    Use(usize),
    Free(usize),
    Follow(Place),
}

type Buffer = Arc<Mutex<usize>>;

#[derive(Clone)]
struct Place {
    device: Arc<Device>,
    thread: ThreadId,
    place: usize,
}

impl Device {
    fn lock(&self) -> MutexGuard<'_, Queues> {
        self.queues.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn give(self: &Arc<Self>, work: Work) -> Place {
        let thread = std::thread::current().id();
        let mut queues = self.lock();
        let queue = queues.of_thread.entry(thread).or_default();
        queue.work.push_back(work);
        queue.given += 1;
        Place { device: self.clone(), thread, place: queue.given }
    }

    fn here(self: &Arc<Self>) -> Place {
        let thread = std::thread::current().id();
        let place = self.lock().of_thread.get(&thread).map_or(0, |queue| queue.given);
        Place { device: self.clone(), thread, place }
    }

    /// Does all that is left, this thread's queue first.
    fn finish(self: &Arc<Self>) {
        let here = self.here();
        let mut queues = self.lock();
        queues.come_to(&here);
        for (thread, place) in queues.of_thread.iter().map(|(&thread, queue)| (thread, queue.given)).collect::<Vec<_>>()
        {
            queues.come_to(&Place { device: self.clone(), thread, place });
        }
    }
}

impl Queues {
    fn come_to(&mut self, place: &Place) {
        while let Some(queue) = self.of_thread.get_mut(&place.thread).filter(|queue| queue.done < place.place) {
            queue.done += 1;
            match queue.work.pop_front().unwrap() {
                Work::Follow(other) => self.come_to(&other),
                Work::Copy { part, buffer } => {
                    self.parts.insert(part, *buffer.lock().unwrap());
                    self.most = self.most.max(self.parts.len());
                }
                Work::Use(part) => {
                    let held = *self.parts.get(&part).expect("used before it was there, or after it was gone");
                    self.used.push(held);
                }
                Work::Free(part) => {
                    self.parts.remove(&part).expect("freed before it was there");
                }
            }
        }
    }
}

fn wait(place: &Place) -> Result<()> {
    place.device.lock().come_to(place);
    Ok(())
}

struct Fake {
    count: usize,
    fails_at: Option<usize>,
    device: Arc<Device>,
    ring: Mutex<Ring<Buffer, Place>>,
    begun: Arc<Begun>,
}

/// The parts that were loaded, as the host sees it.
#[derive(Default)]
struct Begun {
    parts: Mutex<Vec<usize>>,
    more: Condvar,
}

impl Begun {
    /// Waits until `count` parts were loaded.
    fn wait(&self, count: usize) {
        let parts = self.parts.lock().unwrap();
        let few = |parts: &mut Vec<usize>| parts.len() < count;
        let (_parts, timeout) = self.more.wait_timeout_while(parts, Duration::from_secs(20), few).unwrap();
        assert!(!timeout.timed_out(), "nothing was loaded ahead");
    }
}

struct Part {
    number: usize,
    index: usize,
    device: Arc<Device>,
}

impl Part {
    fn work(&self) {
        self.device.give(Work::Use(self.number));
    }
}

impl Drop for Part {
    fn drop(&mut self) {
        self.device.give(Work::Free(self.number));
    }
}

impl Load for Fake {
    type Item = Part;
    type Mark = Place;

    fn count(&self) -> usize {
        self.count
    }

    fn load(&self, index: usize) -> Result<Part> {
        if self.fails_at == Some(index) {
            return Err(Error::Input(format!("part {index} is broken")));
        }
        let mut ring = self.ring.lock().unwrap();
        ring.advance()?;
        let buffer = ring.buffer().unwrap().clone();
        *buffer.lock().unwrap() = index;
        let mut begun = self.begun.parts.lock().unwrap();
        let number = begun.len();
        begun.push(index);
        ring.leave(self.device.give(Work::Copy { part: number, buffer }));
        self.begun.more.notify_all();
        Ok(Part { number, index, device: self.device.clone() })
    }

    fn mark(&self) -> Result<Place> {
        Ok(self.device.here())
    }

    fn follow(&self, mark: &Place) -> Result<()> {
        self.device.give(Work::Follow(mark.clone()));
        Ok(())
    }

    fn wait(&self, mark: &Place) -> Result<()> {
        wait(mark)
    }
}

fn fake(count: usize, fails_at: Option<usize>) -> Fake {
    let ring = Ring::new((0..STAGED).map(|_| Buffer::default()).collect(), wait);
    Fake { count, fails_at, device: Arc::default(), ring: Mutex::new(ring), begun: Arc::default() }
}

fn stream(count: usize, in_flight: usize) -> (Stream<Fake>, Arc<Device>, Arc<Begun>) {
    let fake = fake(count, None);
    let (device, begun) = (fake.device.clone(), fake.begun.clone());
    (Stream::new(fake, in_flight), device, begun)
}

#[test]
fn parts_come_whole_in_order_and_few_at_a_time() {
    for (in_flight, at_once) in [2, 3, 5].into_iter().flat_map(|in_flight| [(in_flight, false), (in_flight, true)]) {
        let (mut stream, device, _) = stream(7, in_flight);
        for _ in 0..3 {
            stream.rewind();
            for index in 0..7 {
                let part = stream.next().unwrap();
                assert_eq!(part.index, index);
                part.work();
                if at_once {
                    // As when a step's result is looked at: what this thread gave to do has to wait for the copies.
                    wait(&device.here()).unwrap();
                }
            }
        }
        drop(stream);
        device.finish();
        let queues = device.lock();
        // What the device worked with, when it came to it.
        assert_eq!(queues.used, (0..21).map(|i| i % 7).collect::<Vec<_>>());
        assert!(queues.most <= in_flight, "{} of {in_flight}", queues.most);
        assert!(queues.parts.is_empty(), "nothing stays on the device");
    }
}

#[test]
fn others_are_loaded_while_one_is_in_use() {
    let (mut stream, _, begun) = stream(10, 3);
    let first = stream.next().unwrap();
    // The first is held: the two after it arrive all the same, and no third.
    begun.wait(3);
    std::thread::sleep(Duration::from_millis(50));
    assert_eq!(*begun.parts.lock().unwrap(), [0, 1, 2]);
    drop(first);
    begun.wait(4);
    // And the first of the next pass is loaded during the last of this one.
    for index in 1..9 {
        assert_eq!(stream.next().unwrap().index, index);
    }
    let last = stream.next().unwrap();
    begun.wait(12);
    assert_eq!(begun.parts.lock().unwrap()[9..12], [9, 0, 1]);
    assert_eq!(last.index, 9);
}

#[test]
fn an_abandoned_pass_starts_anew() {
    let (mut stream, device, begun) = stream(5, 3);
    for index in 0..2 {
        let part = stream.next().unwrap();
        part.work();
        assert_eq!(part.index, index);
    }
    // Some are on their way by now that nobody will use.
    begun.wait(4);
    stream.rewind();
    // They are freed by now, and were not while they came.
    wait(&device.here()).unwrap();
    let part = stream.next().unwrap();
    assert_eq!(part.index, 0);
    part.work();
    // The stream goes before the part.
    drop(stream);
    drop(part);
    device.finish();
    let queues = device.lock();
    assert_eq!(queues.used, [0, 1, 0]);
    assert!(queues.parts.is_empty(), "nothing stays on the device");
}

#[test]
fn a_part_that_cannot_be_loaded_ends_the_pass_not_the_stream() {
    let fake = fake(3, Some(1));
    let device = fake.device.clone();
    let mut stream = Stream::new(fake, 2);
    for _ in 0..2 {
        stream.rewind();
        assert_eq!(stream.next().unwrap().index, 0);
        assert!(stream.next().err().unwrap().to_string().contains("part 1"));
    }
    drop(stream);
    device.finish();
    assert!(device.lock().parts.is_empty());
}

#[test]
fn buffers_do_not_go_while_the_device_copies_from_them() {
    let loader = fake(2, None);
    let device = loader.device.clone();
    let part = loader.load(0).unwrap();
    assert!(device.lock().parts.is_empty(), "the device comes to it later");
    drop(loader);
    assert_eq!(device.lock().parts.get(&part.number), Some(&0));
}

#[test]
fn tensors_are_staged_one_behind_the_other() {
    let staging = plain::staging(2048);
    let bytes = |count: usize, first: u8| (0..count).map(|i| first.wrapping_add(i as u8)).collect::<Vec<u8>>();
    for round in 0..3_u8 {
        staging.begin().unwrap();
        let (first, second) = (bytes(1000, round), bytes(700, round + 7));
        let staged = staging.stage(&first).unwrap();
        assert_eq!(staged.as_slice(), first);
        // Held: nothing is written beside it.
        assert!(staging.stage(&second).is_none());
        drop(staged);
        let staged = staging.stage(&second).unwrap();
        assert_eq!(staged.as_slice(), second);
        drop(staged);
        // What has no room is left where it is.
        assert!(staging.stage(&bytes(400, 0)).is_none());
        assert_eq!(staging.stage(&bytes(256, 9)).unwrap().as_slice(), bytes(256, 9));
        staging.end(Mark::Passed);
    }
    assert_eq!([0, 1, 256, 257].map(Staging::room), [0, 256, 256, 512]);
}
