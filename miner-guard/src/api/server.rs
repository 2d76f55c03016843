//! Requests → commands → replies.

use std::{future::Future, io, net::IpAddr, path::PathBuf, sync::Arc, time::Duration};

use axum::{
    Json, Router,
    body::{Body, Bytes},
    extract::{
        DefaultBodyLimit, Query, State,
        rejection::{JsonRejection, QueryRejection},
    },
    http::{StatusCode, header::CONTENT_TYPE},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use futures_util::stream;
use jiff::{Timestamp, tz::TimeZone};
use serde::Deserialize;
use tokio::{
    net::{UnixListener, UnixStream},
    sync::oneshot,
    time::{sleep, timeout},
};

use super::{
    control::{
        Command, CommandError, Commands, Failure, FailureKind, FeedUpdateRequest, IsolationRequest,
        ModeReply, ModeRequest, Reply, Status,
    },
    hub::{Hub, Seen, Watch},
    metrics,
    socket::{Bound, trusted},
};
use crate::{
    event::model::Event,
    sinks::{
        json,
        text::{colour::Colour, line::Line},
    },
};

/// Longest wait for the daemon's loop: a reload of two million indicators takes seconds on a slow disk.
const ANSWER: Duration = Duration::from_secs(60);
/// Bytes of a request body, and of the thing to explain.
const REQUEST: usize = 16 * 1024;
/// Bytes of events that go out at once.
const BATCH: usize = 64 * 1024;

#[derive(Clone)]
struct App {
    commands: Commands,
    hub: Hub,
}

/// Answers until the listener fails or the future is dropped; then the socket goes from the file system.
///
/// # Errors
/// If the listener cannot be handed to the runtime.
pub async fn serve(bound: Bound, commands: Commands, hub: Hub) -> io::Result<()> {
    let (listener, place) = bound.into_parts();
    let peers = Peers(UnixListener::from_std(listener)?);
    let router = Router::new()
        .route("/v1/status", get(status))
        .route("/v1/mode", get(mode).put(set_mode))
        .route("/v1/policy", get(policy))
        .route("/v1/policy/diff", get(diff))
        .route("/v1/policy/reload", post(reload))
        .route("/v1/feeds", get(feeds))
        .route("/v1/feeds/update", post(update_feeds))
        .route("/v1/explain", get(explain))
        .route("/v1/cases", get(cases))
        .route("/v1/case", get(case))
        .route("/v1/isolate", post(isolate))
        .route("/v1/release", post(release))
        .route("/v1/learned", get(learned).delete(forget))
        .route("/v1/events", get(events))
        .route("/metrics", get(prometheus))
        .fallback(async || refuse(StatusCode::NOT_FOUND, FailureKind::Request, "no such path"))
        .method_not_allowed_fallback(async || {
            refuse(StatusCode::METHOD_NOT_ALLOWED, FailureKind::Request, "this path wants another method")
        })
        .layer(DefaultBodyLimit::max(REQUEST))
        .with_state(Arc::new(App { commands, hub }));
    let served = axum::serve(peers, router).await;
    drop(place);
    served
}

/// The listener, for peers who may ask.
struct Peers(UnixListener);

impl axum::serve::Listener for Peers {
    type Io = UnixStream;
    type Addr = Option<PathBuf>;

    async fn accept(&mut self) -> (Self::Io, Self::Addr) {
        loop {
            match self.0.accept().await {
                // The mode of the socket keeps others out; this holds also if somebody changed it.
                Ok((stream, _)) if stream.peer_cred().is_ok_and(|c| trusted(c.uid())) => {
                    return (stream, None);
                }
                Ok((stream, _)) => {
                    let _ = stream.try_write(FORBIDDEN);
                }
                // Most often: no file descriptors left. Without a pause this would burn a core.
                Err(_) => sleep(Duration::from_millis(200)).await,
            }
        }
    }

    fn local_addr(&self) -> io::Result<Self::Addr> {
        Ok(self.0.local_addr()?.as_pathname().map(PathBuf::from))
    }
}

pub(super) const FORBIDDEN: &[u8] = b"HTTP/1.1 403 Forbidden\r\nconnection: close\r\ncontent-type: application/json\r\n\
    content-length: 76\r\n\r\n{\"kind\":\"not-permitted\",\"errors\":[\"only root and the guard's user may ask\"]}";

type Shared = State<Arc<App>>;

fn refuse(status: StatusCode, kind: FailureKind, why: impl Into<String>) -> Response {
    (status, Json(Failure { kind, errors: vec![why.into()] })).into_response()
}

fn failed(e: CommandError) -> Response {
    let status = match e {
        CommandError::Policy(_) => StatusCode::UNPROCESSABLE_ENTITY,
        CommandError::Kernel(_) => StatusCode::SERVICE_UNAVAILABLE,
        CommandError::Request(_) => StatusCode::BAD_REQUEST,
        CommandError::Internal(_) => StatusCode::INTERNAL_SERVER_ERROR,
    };
    (status, Json(Failure::from(e))).into_response()
}

/// Asks the daemon's loop.
async fn ask(app: &App, command: Command) -> Result<Reply, CommandError> {
    let (to, answer) = oneshot::channel();
    let asked = async {
        app.commands.send((command, to)).await.ok()?;
        answer.await.ok()
    };
    timeout(ANSWER, asked)
        .await
        .map_err(|_| CommandError::Internal("the guard is too busy to answer; try again".into()))?
        .ok_or_else(|| CommandError::Internal("the guard is stopping".into()))?
}

async fn answer(app: &App, command: Command) -> Response {
    match ask(app, command).await {
        Ok(reply) => Json(reply).into_response(),
        Err(e) => failed(e),
    }
}

async fn ask_status(app: &App) -> Result<Box<Status>, CommandError> {
    match ask(app, Command::Status).await? {
        Reply::Status(status) => Ok(status),
        other => Err(CommandError::Internal(format!("asked for the status, the guard answered {other:?}"))),
    }
}

async fn status(State(app): Shared) -> Response {
    answer(&app, Command::Status).await
}

async fn mode(State(app): Shared) -> Response {
    match ask_status(&app).await {
        Ok(s) => Json(ModeReply { mode: s.mode, generation: s.generation, changed: false }).into_response(),
        Err(e) => failed(e),
    }
}

async fn set_mode(State(app): Shared, body: Result<Json<ModeRequest>, JsonRejection>) -> Response {
    match body {
        Ok(Json(wanted)) => answer(&app, Command::SetMode(wanted.mode)).await,
        Err(e) => refuse(e.status(), FailureKind::Request, e.body_text()),
    }
}

async fn policy(State(app): Shared) -> Response {
    answer(&app, Command::PolicyList).await
}

async fn diff(State(app): Shared) -> Response {
    answer(&app, Command::PolicyDiff).await
}

async fn reload(State(app): Shared) -> Response {
    answer(&app, Command::Reload).await
}

async fn feeds(State(app): Shared) -> Response {
    answer(&app, Command::FeedList).await
}

async fn update_feeds(State(app): Shared, body: Result<Json<FeedUpdateRequest>, JsonRejection>) -> Response {
    match body {
        Ok(Json(wanted)) => answer(&app, Command::FeedUpdate(wanted)).await,
        Err(e) => refuse(e.status(), FailureKind::Request, e.body_text()),
    }
}

#[derive(Deserialize)]
struct Thing {
    thing: String,
}

async fn explain(State(app): Shared, query: Result<Query<Thing>, QueryRejection>) -> Response {
    match query {
        Ok(Query(Thing { thing })) if (1..=REQUEST).contains(&thing.len()) => {
            answer(&app, Command::Explain(thing)).await
        }
        Ok(_) => refuse(StatusCode::BAD_REQUEST, FailureKind::Request, "nothing to explain, or too much"),
        Err(e) => refuse(StatusCode::BAD_REQUEST, FailureKind::Request, e.body_text()),
    }
}

async fn cases(State(app): Shared) -> Response {
    answer(&app, Command::Cases).await
}

#[derive(Deserialize)]
struct CaseId {
    id: String,
}

async fn case(State(app): Shared, query: Result<Query<CaseId>, QueryRejection>) -> Response {
    match query {
        Ok(Query(CaseId { id })) => answer(&app, Command::Case(id)).await,
        Err(e) => refuse(StatusCode::BAD_REQUEST, FailureKind::Request, e.body_text()),
    }
}

async fn isolate(State(app): Shared, body: Result<Json<IsolationRequest>, JsonRejection>) -> Response {
    match body {
        Ok(Json(wanted)) => answer(&app, Command::Isolate(wanted)).await,
        Err(e) => refuse(e.status(), FailureKind::Request, e.body_text()),
    }
}

async fn release(State(app): Shared, body: Result<Json<IsolationRequest>, JsonRejection>) -> Response {
    match body {
        Ok(Json(wanted)) => answer(&app, Command::Release(wanted.target)).await,
        Err(e) => refuse(e.status(), FailureKind::Request, e.body_text()),
    }
}

async fn learned(State(app): Shared) -> Response {
    answer(&app, Command::Learned).await
}

#[derive(Deserialize)]
struct Which {
    address: Option<IpAddr>,
}

async fn forget(State(app): Shared, query: Result<Query<Which>, QueryRejection>) -> Response {
    match query {
        Ok(Query(Which { address })) => answer(&app, Command::Forget(address)).await,
        Err(e) => refuse(StatusCode::BAD_REQUEST, FailureKind::Request, e.body_text()),
    }
}

async fn prometheus(State(app): Shared) -> Response {
    let text = match ask_status(&app).await {
        Ok(status) => metrics::text(&status, app.hub.lost()),
        Err(e) => return failed(e),
    };
    match text {
        Ok(text) => {
            let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
            ([(CONTENT_TYPE, kind)], text).into_response()
        }
        Err(e) => failed(CommandError::Internal(e.to_string())),
    }
}

/// How the client wants its events.
#[derive(Deserialize)]
struct Look {
    #[serde(default)]
    format: Format,
    #[serde(default)]
    colour: bool,
}

#[derive(Clone, Copy, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Format {
    #[default]
    Json,
    Text,
}

async fn events(State(app): Shared, look: Result<Query<Look>, QueryRejection>) -> Response {
    let look = match look {
        Ok(Query(look)) => look,
        Err(e) => return refuse(StatusCode::BAD_REQUEST, FailureKind::Request, e.body_text()),
    };
    let (kind, line) = match look.format {
        Format::Json => ("application/x-ndjson", None),
        Format::Text => {
            let colour = if look.colour { Colour::ALWAYS } else { Colour::NEVER };
            ("text/plain; charset=utf-8", Some(Line { colour, zone: TimeZone::system() }))
        }
    };
    let lines = stream::unfold((app.hub.watch(), line), |(mut watch, line)| async move {
        let batch = batch(&mut watch, line.as_ref()).await?;
        Some((batch, (watch, line)))
    });
    ([(CONTENT_TYPE, kind)], Body::from_stream(lines)).into_response()
}

/// Waits for one event and takes those that are there already with it. None when the guard goes.
async fn batch(watch: &mut Watch, line: Option<&Line>) -> Option<io::Result<Bytes>> {
    let mut bytes = Vec::new();
    let mut next = watch.next().await;
    while let Some(seen) = next.take() {
        let event = match seen {
            Seen::One(event) => Some(event),
            Seen::Lost(n) => {
                let loss = [("api-client", n)].into();
                Event::of_loss(Timestamp::now(), None, loss).map(Arc::new)
            }
        };
        match (event, line) {
            (Some(event), Some(line)) => {
                bytes.extend_from_slice(line.render(&event).as_bytes());
                bytes.push(b'\n');
            }
            (Some(event), None) => {
                if let Err(e) = json::line(&mut bytes, &event) {
                    return Some(Err(e));
                }
            }
            (None, _) => {}
        }
        if bytes.len() < BATCH {
            next = watch.ready();
        }
    }
    (!bytes.is_empty()).then(|| Ok(bytes.into()))
}

/// Keeps the future `Send`, so that the daemon may spawn it on any runtime.
const _: fn(Bound, Commands, Hub) = |b, c, h| {
    fn sendable(_: impl Future + Send) {}
    sendable(serve(b, c, h));
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_refusal_of_a_stranger_is_a_whole_response() {
        let mut bytes = FORBIDDEN;
        let head = crate::api::http::head(&mut bytes).unwrap();
        assert_eq!(head.status, 403);
        assert_eq!(head.framing, crate::api::http::Framing::Length(bytes.len() as u64));
        assert_eq!(serde_json::from_slice::<Failure>(bytes).unwrap().kind, FailureKind::NotPermitted);
    }
}
