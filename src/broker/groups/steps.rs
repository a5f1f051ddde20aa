//! A member's step, and what its caller is told if the group's rows refuse it.

use crate::broker::error::Error;
use crate::broker::error::NamedPartition;
use crate::broker::handle::Broker;
use crate::groups::StepError;
use crate::groups::Urgency;
use crate::model::group::GroupPartition;
use crate::model::name::GroupName;
use crate::model::name::MemberName;
use crate::store::group_contract::Step;
use crate::store::group_contract::StepRefused;
use crate::store::group_contract::Stepped;

impl Broker {
    /// Takes a step of a member.
    ///
    /// # Errors
    /// [`Error::UnknownGroup`], [`Error::UnknownMember`], [`Error::StaleEpoch`], [`Error::LeaseLost`],
    /// [`Error::OffsetRegression`]; errors of the store.
    pub(super) async fn take_step(&self, step: Step, urgency: Urgency) -> Result<Stepped, Error> {
        let (group, member) = (step.group.clone(), step.member.clone());
        let stepped = match self.groups().step(step, urgency).await {
            Ok(stepped) => stepped,
            Err(error) => return Err(self.not_stepped(&group, &member, error).await),
        };
        if stepped.was_lapsed {
            // Others may have run out meanwhile, whom nobody took over while nobody lived. If that fails, the step is taken
            // all the same; the keeper looks as well.
            if let Err(error) = self.look(&group).await {
                tracing::debug!(%group, %error, "could not look at a group: {error}");
            }
        }
        Ok(stepped)
    }

    /// What a member is told whose step was not taken.
    async fn not_stepped(&self, group: &GroupName, member: &MemberName, error: StepError) -> Error {
        let refused = match error {
            StepError::Refused(refused) => refused,
            StepError::Store(error) => return error.into(),
            StepError::Overloaded => return Error::Overloaded,
            StepError::Closed => return Error::Draining,
        };
        let told = async {
            let (group, member) = (group.clone(), member.clone());
            Ok(match refused {
                StepRefused::UnknownGroup => Error::UnknownGroup(group),
                StepRefused::UnknownMember => Error::UnknownMember { group, member },
                StepRefused::StaleEpoch { current, partitions } => {
                    Error::StaleEpoch { member, current, partitions: self.named(partitions).await? }
                }
                StepRefused::LeaseLost { partitions } => {
                    Error::LeaseLost { member, partitions: self.named(partitions).await? }
                }
                StepRefused::OffsetRegression { partitions } => Error::OffsetRegression(self.named(partitions).await?),
            })
        };
        told.await.unwrap_or_else(|error| error)
    }

    /// Names the topics of `partitions`; those of topics that are gone are left out.
    pub(super) async fn named(&self, partitions: Vec<GroupPartition>) -> Result<Vec<NamedPartition>, Error> {
        let mut named = Vec::with_capacity(partitions.len());
        for state in partitions {
            if let Some(known) = self.catalog().find_by_id(state.id.topic).await? {
                named.push(NamedPartition { topic: known.topic.name.clone(), partition: state.id.partition, state });
            }
        }
        Ok(named)
    }
}
