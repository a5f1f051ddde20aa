//! Steps of members: those of a batch as one transaction.

use std::collections::HashMap;

use sqlx::sqlite::SqliteArguments;

use crate::model::group::GroupId;
use crate::model::name::GroupName;
use crate::model::time::Millis;
use crate::store::error::StoreError;
use crate::store::group_contract::Step;
use crate::store::group_contract::StepRefused;
use crate::store::group_contract::Stepped;
use crate::store::group_steps;
use crate::store::sqlite::groups::load;
use crate::store::sqlite::groups::save;
use crate::store::sqlite::writer::Writer;

/// What a batch did.
#[derive(Debug)]
pub(in crate::store::sqlite) struct Taken {
    /// One per step, in order.
    pub(in crate::store::sqlite) outcomes: Vec<Result<Stepped, StepRefused>>,
    /// Bytes of the rows written.
    pub(in crate::store::sqlite) bytes: u64,
}

pub(in crate::store::sqlite) async fn take(
    writer: &mut Writer,
    now: Millis,
    steps: &[Step],
) -> Result<Taken, StoreError> {
    let mut names: Vec<&GroupName> = steps.iter().map(|step| &step.group).collect();
    names.sort_unstable();
    names.dedup();
    let mut groups = load::by_name(&mut writer.connection, &names).await?;
    let ids: HashMap<GroupName, GroupId> = groups.values().map(|group| (group.name.clone(), group.id)).collect();
    let known = || steps.iter().filter_map(|step| ids.get(&step.group).map(|id| (*id, step)));

    let mut members: Vec<_> = known().map(|(group, step)| (group, &step.member)).collect();
    members.sort_unstable();
    members.dedup();
    let named =
        known().flat_map(|(group, step)| group_steps::named(&step.commit).into_iter().map(move |id| (group, id)));
    let named: Vec<_> = named.collect();
    load::details(&mut writer.connection, &mut groups, &members, &named).await?;

    let mut take = |step: &Step| {
        let group = ids.get(&step.group).and_then(|id| groups.get_mut(id));
        group.map_or(Err(StepRefused::UnknownGroup), |group| group_steps::take(group, now, step))
    };
    let outcomes = steps.iter().map(&mut take).collect();
    let mut arguments = SqliteArguments::default();
    let bytes = save::bind(&mut arguments, groups.values(), now)?;
    if bytes > 0 {
        writer.commit(format!("begin immediate; {} commit", save::SAVE), arguments).await?;
    }
    Ok(Taken { outcomes, bytes })
}
