//! From a position to an offset, and from an offset that cannot be read to what the caller is told.

use std::sync::Arc;

use crate::broker::error::Error;
use crate::broker::error::Unreadable;
use crate::broker::handle::Broker;
use crate::log::partition::Partition;
use crate::model::name::TopicName;
use crate::model::position::Position;
use crate::tasks;

impl Broker {
    /// The offset that `position` stands for in a partition now.
    pub(super) async fn resolve(
        &self,
        topic: &TopicName,
        partition: &Arc<Partition>,
        position: Position,
    ) -> Result<u64, Error> {
        let time = match position {
            Position::Earliest => return Ok(partition.log_start_offset()),
            Position::Latest => return Ok(partition.high_watermark()),
            Position::Last(count) => {
                let from = partition.high_watermark().saturating_sub(count);
                return Ok(from.max(partition.log_start_offset()));
            }
            Position::Time(time) => time,
        };
        let (store, id) = (self.store(), partition.id);
        let high_watermark = partition.high_watermark();
        let Some(batch) = tasks::run(async move { store.seek_time(id, time).await }).await? else {
            return Ok(high_watermark);
        };
        let log_start_offset = partition.log_start_offset();
        for record in batch.records() {
            let record = record.map_err(|damaged| Error::Internal(format!("topic `{topic}`: {damaged}")))?;
            if record.offset >= log_start_offset && record.timestamp >= time {
                return Ok(record.offset);
            }
        }
        Ok(batch.next_offset())
    }

    /// What a caller is told who asked for `requested_offset`.
    pub(super) fn unreadable(topic: &TopicName, partition: &Partition, requested_offset: u64) -> Unreadable {
        Unreadable {
            topic: topic.clone(),
            partition: partition.id.partition,
            requested_offset,
            log_start_offset: partition.log_start_offset(),
            high_watermark: partition.high_watermark(),
        }
    }
}
