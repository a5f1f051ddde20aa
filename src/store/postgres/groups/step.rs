//! Steps of members: those of a batch as one transaction.

use std::collections::HashMap;

use sqlx::PgConnection;

use crate::model::group::GroupId;
use crate::model::name::GroupName;
use crate::store::error::StoreError;
use crate::store::group_contract::Step;
use crate::store::group_contract::StepRefused;
use crate::store::group_contract::Stepped;
use crate::store::group_steps;
use crate::store::postgres::groups::load;
use crate::store::postgres::groups::save;
use crate::store::postgres::groups::transaction;

pub(in crate::store::postgres) async fn take(
    connection: &mut PgConnection,
    steps: &[Step],
) -> Result<Vec<Result<Stepped, StepRefused>>, StoreError> {
    let mut names: Vec<&GroupName> = steps.iter().map(|step| &step.group).collect();
    names.sort_unstable();
    names.dedup();
    let mut transaction = transaction::begin(connection).await?;
    let mut groups = load::lock_by_name(&mut transaction, &names).await?;
    let now = transaction::now(&mut transaction).await?;
    let ids: HashMap<GroupName, GroupId> = groups.values().map(|group| (group.name.clone(), group.id)).collect();
    let known = || steps.iter().filter_map(|step| ids.get(&step.group).map(|id| (*id, step)));

    let mut members: Vec<_> = known().map(|(group, step)| (group, &step.member)).collect();
    members.sort_unstable();
    members.dedup();
    let named =
        known().flat_map(|(group, step)| group_steps::named(&step.commit).into_iter().map(move |id| (group, id)));
    let named: Vec<_> = named.collect();
    load::details(&mut transaction, &mut groups, &members, &named).await?;

    let mut take = |step: &Step| {
        let group = ids.get(&step.group).and_then(|id| groups.get_mut(id));
        group.map_or(Err(StepRefused::UnknownGroup), |group| group_steps::take(group, now, step))
    };
    let outcomes = steps.iter().map(&mut take).collect();
    if save::save(&mut transaction, groups.values(), now).await? {
        transaction::commit(transaction).await?;
    }
    Ok(outcomes)
}
