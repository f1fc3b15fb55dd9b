//! What is given to others: container images and the Debian package. Both are built and then tried.

mod bases;
mod driver;
mod elf;
pub(crate) mod images;
pub(crate) mod package;
mod process;
mod stage;
mod trial;
mod unit;
