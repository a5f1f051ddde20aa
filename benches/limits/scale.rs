//! `partitions` and `restart`: what does not grow with what is kept. The limit is the gateway itself with little.

use std::time::Duration;

use anyhow::Result;

use crate::Bench;
use crate::client::Until;
use crate::client::load;
use crate::data;
use crate::process::Server;
use crate::produce::PROBE;
use crate::produce::ROUNDS;
use crate::produce::create_topic;
use crate::produce::fill;
use crate::report::Aim;
use crate::report::median;

/// Partitions that are written to; also how many each topic has.
const ACTIVE: u32 = 1_000;
/// Topics whose partitions have one record each and then lie still.
const IDLE_TOPICS: u32 = 99;

/// 1,000 active partitions among 100,000, beside 1,000 alone.
pub(crate) async fn partitions(bench: &mut Bench) -> Result<()> {
    let (Some(few), Some(many)) = (bench.gateway("few").await?, bench.gateway("many").await?) else {
        println!("partitions: needs the gateway");
        return Ok(());
    };
    touch(&few, "active").await?;
    touch(&many, "active").await?;
    for number in 0..IDLE_TOPICS {
        touch(&many, &format!("idle-{number}")).await?;
    }
    let requests = data::single_posts_over("active", ACTIVE);
    let until = Until::Elapsed(Duration::from_secs(bench.seconds));
    let (mut of_few, mut of_many) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        bench.measure_conditions(PROBE)?;
        of_many.push(load(many.address, &requests, 64, until).await?.requests_per_second);
        of_few.push(load(few.address, &requests, 64, until).await?.requests_per_second);
    }
    let (value, limit) = (median(of_many), median(of_few));
    bench.row("100,000 partitions beside 1,000, 1,000 active", "req/s", value, limit, Aim::RatioFrom(0.9));
    let per_partition = (many.process.resident()? - few.process.resident()?) / f64::from(IDLE_TOPICS * ACTIVE);
    bench.row("memory per idle partition", "bytes", Some(per_partition.max(0.0)), None, Aim::To(200.0));
    Ok(())
}

/// Creates a topic and writes a record to each of its partitions.
async fn touch(server: &Server, topic: &str) -> Result<()> {
    create_topic(server, topic, ACTIVE).await?;
    load(server.address, &[data::touch_all(topic, ACTIVE)].into(), 1, Until::Requests(1)).await?;
    Ok(())
}

/// From exec to `listening`, with 1 GiB beside with nothing.
pub(crate) async fn restart(bench: &mut Bench) -> Result<()> {
    let Some(empty) = bench.gateway("restart-empty").await? else {
        println!("restart: needs the gateway");
        return Ok(());
    };
    create_topic(&empty, "bench", 4).await?;
    empty.process.stop().await?;
    let limit = starts(bench, "restart-empty").await?;

    let Some(full) = bench.gateway("restart-full").await? else {
        return Ok(());
    };
    create_topic(&full, "bench", 4).await?;
    fill(&full, "bench", 1_024).await?;
    drop(full); // SIGKILL right after the last acknowledgement
    let Some(killed) = bench.gateway("restart-full").await? else {
        return Ok(());
    };
    let after_kill = killed.started_in.as_secs_f64() * 1e3;
    killed.process.stop().await?;
    let value = starts(bench, "restart-full").await?;

    bench.row("restart with 1 GiB, beside nothing kept", "ms", value, limit, Aim::None);
    bench.row("restart with 1 GiB after SIGKILL", "ms", Some(after_kill), limit, Aim::None);
    bench.forget("restart-full");
    Ok(())
}

async fn starts(bench: &Bench, data: &str) -> Result<Option<f64>> {
    let mut times = Vec::new();
    for _ in 0..ROUNDS {
        if let Some(server) = bench.gateway(data).await? {
            times.push(server.started_in.as_secs_f64() * 1e3);
            server.process.stop().await?;
        }
    }
    Ok(median(times))
}
