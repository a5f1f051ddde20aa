//! Consumer groups: who is to hold what (pure), and the calls of members on their way to the store.

pub mod assignor;
mod coverage;
mod handle;
pub mod plan;
mod stepper;
mod sticky;

pub use handle::Groups;
pub use handle::start;
pub use stepper::COMPANY_MAX;
pub use stepper::StepError;
pub use stepper::Urgency;
