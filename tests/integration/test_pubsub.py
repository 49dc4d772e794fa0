"""Publish and subscribe."""

import pytest
from support import ReplyError, eventually


def test_messages_reach_subscribers_of_channels_and_patterns(db):
    with db.client() as channel, db.client() as pattern, db.client() as publisher:
        assert channel.call("SUBSCRIBE", "news") == [b"subscribe", b"news", 1]
        assert pattern.call("PSUBSCRIBE", "n?ws", "x*") == [b"psubscribe", b"n?ws", 1]
        assert pattern.reply() == [b"psubscribe", b"x*", 2]
        assert publisher.call("PUBLISH", "news", "hello") == 2
        assert channel.reply() == [b"message", b"news", b"hello"]
        assert pattern.reply() == [b"pmessage", b"n?ws", b"news", b"hello"]
        assert publisher.call("PUBLISH", "other", "x") == 0


def test_a_subscriber_may_only_send_a_few_commands_in_resp2(pair):
    def answers(server):
        with server.client() as client:
            client.call("SUBSCRIBE", "a")
            return [client.call_raw(*command) for command in
                    (("GET", "x"), ("PING",), ("PING", "text"), ("SUBSCRIBE", "a"), ("UNSUBSCRIBE",), ("GET", "x"))]

    ours, theirs = map(answers, pair)
    assert ours == theirs


def test_resp3_messages_are_pushes_and_commands_go_on(db):
    with db.client() as subscriber, db.client() as publisher:
        subscriber.call("HELLO", 3)
        subscriber.send(b"SUBSCRIBE news\r\n")
        assert subscriber.raw_reply() == b">3\r\n$9\r\nsubscribe\r\n$4\r\nnews\r\n:1\r\n"
        assert subscriber.call("SET", "key", "value") == "OK"
        publisher.call("PUBLISH", "news", "hi")
        assert subscriber.raw_reply() == b">3\r\n$7\r\nmessage\r\n$4\r\nnews\r\n$2\r\nhi\r\n"


def test_pubsub_reports_channels_and_counts(db):
    with db.client() as one, db.client() as two:
        one.call("SUBSCRIBE", "a")
        one.call("SUBSCRIBE", "b")
        two.call("SUBSCRIBE", "a")
        two.call("PSUBSCRIBE", "p*")
        assert sorted(db.call("PUBSUB", "CHANNELS")) == [b"a", b"b"]
        assert db.call("PUBSUB", "CHANNELS", "b*") == [b"b"]
        assert db.call("PUBSUB", "NUMSUB", "a", "b", "c") == [b"a", 2, b"b", 1, b"c", 0]
        assert db.call("PUBSUB", "NUMPAT") == 1
    eventually(lambda: db.call("PUBSUB", "CHANNELS") == [], "the end of the subscriptions")


def test_sharded_channels_work_like_channels(db):
    with db.client() as subscriber, db.client() as publisher:
        assert subscriber.call("SSUBSCRIBE", "shard") == [b"ssubscribe", b"shard", 1]
        assert publisher.call("SPUBLISH", "shard", "x") == 1
        assert subscriber.reply() == [b"smessage", b"shard", b"x"]
        assert publisher.call("PUBLISH", "shard", "x") == 0


def test_keyspace_events_are_published_as_configured(start):
    db = start(notify_keyspace_events="KEA")
    with db.client() as subscriber, db.client() as writer:
        subscriber.call("PSUBSCRIBE", "__key*__:*")
        writer.call("SET", "key", "value")
        assert subscriber.reply()[2:] == [b"__keyspace@0__:key", b"set"]
        assert subscriber.reply()[2:] == [b"__keyevent@0__:set", b"key"]
        writer.call("PEXPIRE", "key", 30)
        assert subscriber.reply()[3] == b"expire"
        assert subscriber.reply()[3] == b"key"
        assert subscriber.reply()[2:] == [b"__keyspace@0__:key", b"expired"]
        assert subscriber.reply()[2:] == [b"__keyevent@0__:expired", b"key"]


def test_redis_py_subscribes(db):
    client = db.redis()
    channel = client.pubsub(ignore_subscribe_messages=True)
    channel.subscribe("news")
    channel.get_message(timeout=5)
    client.publish("news", "hello")
    message = eventually(lambda: channel.get_message(timeout=0.1), "the message")
    assert message["data"] == b"hello"


def test_publish_in_a_transaction_comes_after_its_reply(db):
    with db.client() as client:
        client.call("HELLO", 3)
        client.send(b"SUBSCRIBE news\r\n")
        client.raw_reply()
        client.call("MULTI")
        client.call("PUBLISH", "news", "hi")
        assert client.call_raw("EXEC") == b"*1\r\n:1\r\n"
        assert client.raw_reply()[:1] == b">"


def test_a_wrong_subcommand_is_an_error(db):
    with pytest.raises(ReplyError, match="(?i)unknown subcommand|unknown PUBSUB"):
        db.call("PUBSUB", "NOTHING")
