//! The end of a subscription, and subscribers of subscribers.

use super::*;

#[test]
fn unsubscribed_it_is_on_its_own() {
    let publisher = publisher();
    let subscriber = Subscriber::of(&publisher);
    let mut client = subscriber.0.client();
    assert_eq!(
        text(
            &mut client,
            "SELECT concat_ws(' ', s->>'name', s->>'enabled', s->>'last_command', s#>>'{tables,public.items}') FROM (SELECT electric.status()->'subscriber') AS _(s)"
        ),
        "electric true 1 ready"
    );
    let nobody = subscriber.0.role("nobody");
    assert_eq!(
        text(
            &mut subscriber.0.client_as(&nobody),
            "SELECT electric.status() -> 'subscriber' ->> 'enabled'"
        ),
        "true"
    );
    run(&mut client, "CALL electric.unsubscribe()");
    assert_eq!(
        text(
            &mut client,
            "SELECT coalesce(electric.status() ->> 'subscriber', 'none')"
        ),
        "none"
    );
    assert_eq!(
        text(
            &mut client,
            "SELECT count(*)::text FROM pg_replication_slots WHERE slot_name LIKE 'electric\\_%\\_' || (SELECT oid FROM pg_database WHERE datname = current_database()) || '\\_%'"
        ),
        "0"
    );
    assert_eq!(subscriber.0.commands().len(), 0);
    subscriber
        .0
        .unrecorded("ALTER TABLE items DROP COLUMN value");
    assert_eq!(
        subscriber.0.recorded("SELECT electric.enable('items')")[0].id,
        1
    );
    run(&mut client, "SELECT electric.disable('items')");
    subscriber.0.refused(
        &format!("CALL electric.subscribe('{}')", conninfo(&publisher)),
        "55000",
    );
}

#[test]
fn a_subscriber_publishes_on() {
    let publisher = publisher();
    let first = Subscriber::of(&publisher);
    run(
        &mut publisher.client(),
        "ALTER TABLE items ADD COLUMN early int DEFAULT 7",
    );
    first.agrees(&publisher, &["items"]);
    let second = Subscriber::of(&first.0);
    second.agrees(&publisher, &["items"]);
    run(
        &mut publisher.client(),
        "ALTER TABLE items ADD COLUMN late timestamptz DEFAULT now(); INSERT INTO items VALUES (3, 'three'); \
         CREATE TABLE more (id int PRIMARY KEY); INSERT INTO more VALUES (1); SELECT electric.enable('more'); \
         INSERT INTO more VALUES (2)",
    );
    first.agrees(&publisher, &["items", "more"]);
    second.agrees(&publisher, &["items", "more"]);
    run(&mut second.0.client(), "CALL electric.unsubscribe()");
}

#[test]
fn a_publisher_that_is_gone_can_be_left() {
    let other = Cluster::builder().start().unwrap();
    let publisher = other.database().items();
    let subscriber = Cluster::shared().database();
    subscribe(&subscriber, &publisher);
    other.stop(Stop::Immediate).unwrap();
    let (mut client, notices) = subscriber.client_with_notices();
    run(&mut client, "CALL electric.unsubscribe()");
    assert!(
        notices.has(&["is left on the publisher", "pg_drop_replication_slot"]),
        "{:?}",
        notices.all()
    );
    subscriber.unrecorded("ALTER TABLE items ADD COLUMN own int");
}
