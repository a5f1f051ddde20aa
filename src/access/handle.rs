//! The handle that every request is shown to.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::PoisonError;
use std::sync::RwLock;
use std::time::Duration;
use std::time::Instant;

use tokio::sync::Mutex;
use tokio::time::MissedTickBehavior;
use tokio::time::interval;
use tokio::time::sleep_until;
use tokio_util::sync::CancellationToken;

use crate::access::caller::Caller;
use crate::access::error::AccessError;
use crate::access::failures::Failures;
use crate::access::hold::Hold;
use crate::access::hold::Holds;
use crate::access::jwt;
use crate::access::jwt::Verifier;
use crate::access::scope::Scope;
use crate::access::snapshot::Snapshot;
use crate::access::ticket::Asker;
use crate::access::ticket::Said;
use crate::access::ticket::Ticket;
use crate::model::permission::Rights;
use crate::model::secret::AdminKey;
use crate::model::secret::ApiKey;
use crate::model::secret::KeyId;
use crate::model::time;
use crate::store::contract::Store;
use crate::store::error::StoreError;
use crate::tasks;
use crate::tasks::Tasks;

/// How often the database is asked whether keys changed, and open answers are looked at: what another node changed is
/// known here within a second.
const LOOK: Duration = Duration::from_millis(500);

/// The database is asked about keys that are not known here once in so long at most, however many are shown.
const ASK_PAUSE: Duration = Duration::from_millis(100);

/// How callers say who they are.
#[derive(Debug, Clone)]
pub struct Options {
    /// A key that may do everything, and is in no table.
    pub admin_key: Option<AdminKey>,
    /// Whose JSON Web Tokens are taken.
    pub jwt: Option<jwt::Options>,
    /// Bad credentials that one address may show in a minute; beyond it, it is told to wait.
    pub failures_per_minute: u32,
}

impl Default for Options {
    fn default() -> Self {
        Self { admin_key: None, jwt: None, failures_per_minute: FAILURES_PER_MINUTE }
    }
}

/// What [`Options::failures_per_minute`] is if nothing is said.
pub const FAILURES_PER_MINUTE: u32 = 10;

/// What a request shows.
#[derive(Clone, Copy)]
pub enum Credential<'a> {
    /// Nothing.
    Nothing,
    /// The token of an `Authorization: Bearer`.
    Bearer(&'a str),
    /// A ticket.
    Ticket(&'a str),
    /// Something that is no credential at all.
    Malformed,
}

/// Why a request was not let in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Denied {
    /// What it shows, if anything, is not good, or not any more.
    Unknown,
    /// Its address has shown too much that was not good: come back after that time.
    TooOften(Duration),
}

/// What lets callers in. A clone is the same.
#[derive(Clone)]
pub struct Access {
    inner: Arc<Inner>,
}

struct Inner {
    store: Arc<dyn Store>,
    admin_key: Option<AdminKey>,
    tokens: Option<Verifier>,
    known: RwLock<Arc<Snapshot>>,
    failures: Failures,
    holds: Holds,
    /// When the database was last asked about a key that is not known here.
    asked: Mutex<Option<Instant>>,
}

/// Reads the keys, and keeps up with them until `tasks` stop. If the options name a way to say who one is, every caller has
/// to from now on, on every node, and for good.
///
/// # Errors
/// If the database does not answer.
pub async fn start(store: Arc<dyn Store>, options: Options, tasks: &Tasks) -> Result<Access, StoreError> {
    let Options { admin_key, jwt, failures_per_minute } = options;
    if admin_key.is_some() || jwt.is_some() {
        store.require_access().await?;
    }
    let known = RwLock::new(Arc::new(Snapshot::new(store.access().await?)));
    let tokens = jwt.map(|options| jwt::start(options, tasks));
    let (failures, holds) = (Failures::new(failures_per_minute), Holds::default());
    let access =
        Access { inner: Arc::new(Inner { store, admin_key, tokens, known, failures, holds, asked: Mutex::default() }) };
    tasks.spawn("keys", access.clone().keep_up(tasks.stopping().clone()));
    Ok(access)
}

impl Access {
    /// Whether callers have to say who they are.
    pub fn is_on(&self) -> bool {
        self.known().is_on
    }

    /// Who shows this, coming from `address`. While nobody has to say who they are, everybody is anonymous.
    ///
    /// # Errors
    /// [`Denied`].
    pub async fn authenticate(&self, credential: Credential<'_>, address: IpAddr) -> Result<Caller, Denied> {
        let known = self.known();
        if !known.is_on {
            return Ok(Caller::anonymous());
        }
        let caller = match credential {
            Credential::Nothing => return Err(Denied::Unknown),
            Credential::Bearer(token) => self.bearer(&known, token).await,
            Credential::Ticket(ticket) => self.by_ticket(&known, ticket).await,
            Credential::Malformed => None,
        };
        caller.ok_or_else(|| match self.inner.failures.count(address, Instant::now()) {
            Some(wait) => Denied::TooOften(wait),
            None => Denied::Unknown,
        })
    }

    async fn bearer(&self, known: &Arc<Snapshot>, token: &str) -> Option<Caller> {
        if self.inner.admin_key.is_some_and(|key| key.is(token)) {
            return Some(Caller::operator());
        }
        if let Ok(key) = token.parse::<ApiKey>() {
            let known = self.knowing(known, key.id()).await?;
            return known.caller(&key, time::now());
        }
        match self.inner.tokens.as_ref()?.verify_or_ask(token, time::now).await {
            Ok(identity) => Some(Caller::of_token(identity)),
            Err(why) => {
                tracing::debug!("a token is refused: {why}");
                None
            }
        }
    }

    async fn by_ticket(&self, known: &Arc<Snapshot>, text: &str) -> Option<Caller> {
        let Said { asker, scope, expires_at } = Said::read(text, &known.signing)?;
        let caller = match asker {
            // They are known to nobody any more.
            Asker::Anybody => return None,
            Asker::Operator(fingerprint) => (self.fingerprint() == Some(fingerprint)).then(Caller::operator)?,
            Asker::Key(id) => {
                let id = id.parse().ok()?;
                self.knowing(known, id).await?.bearer(id, time::now())?
            }
            // Tokens may be taken no longer.
            Asker::Subject { name, permissions } => {
                let rights = self.inner.tokens.as_ref().and_then(|_| Rights::new(permissions).ok())?;
                Caller::of_subject(&name, rights, expires_at)
            }
        };
        (time::now() < expires_at).then(|| caller.by_ticket(scope, expires_at))
    }

    /// What is known of keys, this one among them: the database is asked before it is denied, since another node may just
    /// have made it. All who come while that question waits its turn share it.
    async fn knowing(&self, known: &Arc<Snapshot>, id: KeyId) -> Option<Arc<Snapshot>> {
        if known.key(id).is_some() {
            return Some(Arc::clone(known));
        }
        let came = Instant::now();
        let mut asked = self.inner.asked.lock().await;
        if asked.is_none_or(|last| last < came) {
            if let Some(last) = *asked {
                sleep_until((last + ASK_PAUSE).into()).await;
            }
            *asked = Some(Instant::now());
            let access = self.clone();
            if let Err(error) = tasks::run(async move { access.look_for_changes().await }).await {
                tracing::debug!(%error, "could not ask about a key that is not known: {error}");
            }
        }
        drop(asked);
        let known = self.known();
        known.key(id).is_some().then_some(known)
    }

    fn fingerprint(&self) -> Option<u64> {
        self.inner.admin_key.map(|key| key.fingerprint())
    }

    /// A ticket for `caller`, good for `ms` milliseconds and no longer than the caller.
    ///
    /// # Errors
    /// [`AccessError::NotPermitted`], [`AccessError::TicketTooLong`].
    pub fn ticket(&self, caller: &Caller, scope: Scope, ms: u64) -> Result<Ticket, AccessError> {
        let narrow = scope.narrow(&caller.rights);
        if narrow == Rights::default() {
            return Err(AccessError::NotPermitted);
        }
        let asker = Asker::new(&caller.identity, &narrow, self.fingerprint()).ok_or(AccessError::NotPermitted)?;
        let until = time::now().saturating_add(ms);
        let expires_at = caller.expires_at.map_or(until, |end| end.min(until));
        Said { asker, scope, expires_at }.sign(&self.known().signing).ok_or(AccessError::TicketTooLong)
    }

    /// Says when the rights of `caller` end: for an answer that does not end by itself.
    pub fn hold(&self, caller: &Caller) -> Hold {
        let hold = self.inner.holds.add(caller);
        // Keys may have changed since the caller was let in.
        hold.look(&self.known(), time::now());
        hold
    }

    /// What is known of keys at this moment.
    pub(super) fn known(&self) -> Arc<Snapshot> {
        Arc::clone(&self.inner.known.read().unwrap_or_else(PoisonError::into_inner))
    }

    pub(super) fn store(&self) -> Arc<dyn Store> {
        Arc::clone(&self.inner.store)
    }

    /// Reads the keys now.
    ///
    /// # Errors
    /// If the database does not answer.
    pub(super) async fn refresh(&self) -> Result<(), StoreError> {
        let store = self.store();
        let snapshot = Snapshot::new(tasks::run(async move { store.access().await }).await?);
        {
            let mut known = self.inner.known.write().unwrap_or_else(PoisonError::into_inner);
            // Of two that read at once, the one who read later may come first.
            if snapshot.version >= known.version {
                *known = Arc::new(snapshot);
            }
        }
        self.inner.holds.look(&self.known(), time::now());
        Ok(())
    }

    /// Takes in what was changed here. If the database has just gone away, the next look does it.
    pub(super) async fn changed(&self) {
        if let Err(error) = self.refresh().await {
            tracing::warn!(%error, "keys were changed and cannot be read: {error}");
        }
    }

    async fn keep_up(self, stopping: CancellationToken) {
        let mut looks = interval(LOOK);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        while stopping.run_until_cancelled(looks.tick()).await.is_some() {
            self.inner.holds.look(&self.known(), time::now());
            if let Err(error) = self.look_for_changes().await {
                tracing::debug!(%error, "could not look whether keys changed: {error}");
            }
        }
    }

    async fn look_for_changes(&self) -> Result<(), StoreError> {
        if self.inner.store.access_version().await? == self.known().version { Ok(()) } else { self.refresh().await }
    }
}
