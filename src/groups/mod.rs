//! Consumer groups: who is to hold what (pure), and the calls of members on their way to the store.

mod handle;
mod stepper;

pub use handle::Groups;
pub use handle::start;
pub use stepper::COMPANY_MAX;
pub use stepper::StepError;
pub use stepper::Urgency;
