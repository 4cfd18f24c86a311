//! The cost of a single request. Every operation of the document is driven with requests of adversarial shapes at its
//! size limit, on a server with default limits, and none may take more CPU time or memory than its size justifies.
//!
//! One test per family of shapes; each prints its ten most expensive requests. `./test cost` drives every operation by
//! every family and attacks every field, takes the minimum of several repetitions, and judges a release build by the
//! bounds as they are stated. In `./test`, a family drives all operations that read what it is about and an eighth of
//! the others, each by a third of its shapes and each shape against a third of the operations, by turns. A shape
//! attacks one field of an operation, by turns, and is repeated only if it seems too expensive.

mod bounds;
mod meter;
mod report;
mod shapes;
mod subject;
mod target;
mod wire;

use std::time::Duration;

use self::bounds::{Bounds, LARGE, SMALL};
use self::report::{Cost, Report};
use self::shapes::Shape;
use self::subject::Subject;
use self::target::Target;
use crate::attacks::parsers_mutated::targets::cpu_time;
use crate::support::document::{Body, Operation, operations};

/// A family of shapes.
struct Family {
    name: &'static str,
    /// Makes the requests for one operation.
    shapes: fn(&Target<'_>) -> Vec<Shape>,
    /// The operation reads what the family is about.
    concerns: fn(&Operation) -> bool,
}

/// Repetitions in the long form, and for a request that seems too expensive.
const REPETITIONS: usize = 5;
/// A request that takes so many times its bound is not repeated.
const HOPELESS: u32 = 4;
/// In the short form, one of so many operations that a family is not about.
const SAMPLE: usize = 8;
/// In the short form, one of so many shapes for each operation.
const SHAPE_SAMPLE: usize = 3;

/// True for the long form.
#[allow(clippy::disallowed_methods, reason = "the caller chooses the form by an environment variable")]
fn long() -> bool {
    std::env::var("SIGNET_COST").is_ok_and(|form| form == "long")
}

macro_rules! families {
    ($($name:ident: $shapes:expr, $concerns:expr;)+) => {
        $(
            #[tokio::test]
            async fn $name() {
                let family = Family { name: stringify!($name), shapes: $shapes, concerns: $concerns };
                Box::pin(measure(&family)).await;
            }
        )+
    };
}

fn takes_form(operation: &Operation) -> bool {
    matches!(operation.body, Body::Form(_))
}

fn takes_json(operation: &Operation) -> bool {
    matches!(operation.body, Body::Json(_))
}

families! {
    form_fields_cost_no_more_than_their_size: shapes::forms::form_fields, takes_form;
    query_parameters_cost_no_more_than_their_size: shapes::forms::query_parameters, |it| !it.query.is_empty();
    multipart_forms_cost_no_more_than_their_size: shapes::multipart::multipart_forms, takes_form;
    json_bodies_cost_no_more_than_their_size: shapes::json::json_bodies, takes_json;
    texts_cost_no_more_than_their_size: shapes::texts::texts_of_bodies, |_| true;
    paths_cost_no_more_than_their_size: shapes::texts::paths, |it| it.path.contains('{');
    header_lists_cost_no_more_than_their_size: shapes::heads::header_lists, |_| false;
    credentials_cost_no_more_than_their_size: shapes::credentials::credentials, |_| false;
    scopes_cost_no_more_than_their_size: shapes::credentials::scopes, |_| true;
    batches_cost_no_more_than_their_size: shapes::batches::batches, |_| true;
    frames_cost_no_more_than_their_size: shapes::frames::http2, |_| false;
}

/// Sends every shape of a family to every operation, and asserts that none is too expensive.
async fn measure(family: &Family) {
    let bounds = Bounds::of_program();
    // Time is measured as in production. Memory is measured on a server that returns freed memory to the system at
    // once, because memory that is kept would hide the growth of the next request.
    let mut timed = Subject::start(|plan| plan).await;
    let mut weighed = Subject::start(|plan| plan.set("_RJEM_MALLOC_CONF", "dirty_decay_ms:0,muzzy_decay_ms:0")).await;
    let mut report = Report::new(family.name, bounds);
    // Another eighth for each family.
    let offset = family.name.len();
    for (number, operation) in operations(&timed.server).await.iter().enumerate() {
        if !(long() || (family.concerns)(operation) || (number + offset).is_multiple_of(SAMPLE)) {
            continue;
        }
        // Without credentials a body of any size gets 401, which says nothing about its limit.
        timed.renew_credentials(operation).await;
        for size in sizes(&timed, operation).await {
            measure_operation(&mut timed, &mut weighed, family, (operation, number, size), &mut report).await;
        }
    }
    report.print();
    report.assert_within_bounds();
}

/// The size limits of the operation: that of all bodies, and its own if it is larger.
async fn sizes(subject: &Subject, operation: &Operation) -> Vec<usize> {
    let media_type = if takes_form(operation) { target::URLENCODED } else { target::JSON };
    let probe = subject.target(operation, LARGE).message().body(media_type, " ".repeat(LARGE));
    let is_small = operation.fields().is_empty() || subject.send(&shapes::shape("probe", &probe)).await == 413;
    if is_small { vec![SMALL] } else { vec![SMALL, LARGE] }
}

async fn measure_operation(
    timed: &mut Subject,
    weighed: &mut Subject,
    family: &Family,
    (operation, number, size): (&Operation, usize, usize),
    report: &mut Report,
) {
    let mut shapes = (family.shapes)(&timed.target(operation, size));
    let mut same_shapes = (family.shapes)(&weighed.target(operation, size));
    // The statuses of the last two requests; at first credentials are checked.
    let mut last = [200; 2];
    for index in 0..shapes.len() {
        if !(long() || (number + index).is_multiple_of(SHAPE_SAMPLE)) {
            continue;
        }
        // The call may have ended the session or deleted the account, which shows in its own status or in that of a
        // later one: then all requests are made anew.
        if may_have_ended(last[0]) && timed.renew_credentials(operation).await {
            shapes = (family.shapes)(&timed.target(operation, size));
        }
        if may_have_ended(last[1]) && weighed.renew_credentials(operation).await {
            same_shapes = (family.shapes)(&weighed.target(operation, size));
        }
        let (shape, same_shape) = (&shapes[index], &same_shapes[index]);
        let ((mut time, status), (memory, same_status)) = tokio::join!(timed.time(shape), weighed.memory(same_shape));
        let bound = report.bounds.time(size);
        let mut repetitions = 1;
        // The minimum, because whatever else the process does in the meantime is counted too.
        while repetitions < REPETITIONS && (long() || time > bound) && time < bound * HOPELESS {
            time = time.min(timed.time(shape).await.0);
            repetitions += 1;
        }
        last = [status, same_status];
        assert_ne!(status, 413, "{}: {} is refused for its size alone", operation.name(), shape.name);
        report.add(Cost { time, memory, size, status, operation: operation.name(), shape: shape.name.clone() });
    }
}

/// True if a response with this status may have ended the session of the credentials. The status is zero if there was no
/// response, or one over HTTP/2.
fn may_have_ended(status: u16) -> bool {
    status < 400 || status == 401
}

/// A linear loop over a request takes a fraction of the bound, and a quadratic one many times as much.
#[test]
fn bounds_lie_between_linear_and_quadratic() {
    let bounds = Bounds::of_program();
    assert!(bounds.time(SMALL) >= Duration::from_millis(25) && bounds.time(LARGE) >= Duration::from_millis(100));
    let form = target::numbered(SMALL, |number| format!("{number}&"));
    let names: Vec<&str> = form.split('&').collect();
    let linear = || names.iter().map(|name| name.len()).sum::<usize>();
    let quadratic = || (0..names.len()).filter(|index| names[..*index].contains(&names[*index])).count();
    assert!(cpu_time::of(linear) * 4 < bounds.time(SMALL));
    assert!(cpu_time::of(quadratic) > bounds.time(SMALL));
}
