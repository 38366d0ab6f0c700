//! What do operators see, and what may they do? The console.
//! Never touches a session or a pool: it asks the house, and reads what is answered.

mod house;
mod report;

pub use house::House;
pub use report::Report;
