"""``[kafka]``: messages to Kafka."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from msgspec import Struct

from tui_feeder.configuration.forms import Line, Servers, TopicPrefix
from tui_feeder.configuration.values import Key
from tui_feeder.safe_text import Secret

_SASL = ("protocol", ("SASL_PLAINTEXT", "SASL_SSL"))
_TLS = ("protocol", ("SSL", "SASL_SSL"))


class KafkaSecurity(Struct, frozen=True):
    """Encryption and authentication between feeder and broker."""

    protocol: Annotated[
        Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"], Key("encryption and authentication")
    ] = "PLAINTEXT"
    sasl_mechanism: Annotated[
        Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"], Key("how the password is proven", needs=_SASL)
    ] = "PLAIN"
    sasl_username: Annotated[Line | None, Key("user name at the broker", example='"feeder"', needs=_SASL)] = (
        None
    )
    sasl_password: Annotated[
        Secret | None,
        Key("password of sasl_username; better in a variable or the next key", example='"..."', needs=_SASL),
    ] = None
    sasl_password_file: Annotated[
        Path | None, Key("file that holds nothing but the password", example='"/run/secrets/kafka"')
    ] = None
    ssl_cafile: Annotated[
        Path | None,
        Key("authority that signed the broker's certificate", example='"/etc/ssl/kafka-ca.pem"', needs=_TLS),
    ] = None
    ssl_certfile: Annotated[
        Path | None,
        Key("client certificate, where the broker asks for one", example='"/etc/ssl/feeder.pem"', needs=_TLS),
    ] = None
    ssl_keyfile: Annotated[
        Path | None, Key("private key of ssl_certfile", example='"/etc/ssl/feeder.key"', needs=_TLS)
    ] = None


class Kafka(Struct, frozen=True):
    """Messages to Kafka; the producer's keys mean what they mean in Kafka."""

    enabled: Annotated[bool, Key("publish a message for each symbol and closed minute")] = False
    bootstrap_servers: Annotated[Servers, Key("host:port of one or more brokers")] = ("localhost:9092",)
    topic_prefix: Annotated[TopicPrefix, Key('the topic is this and "data"; see docs/message.md')] = "ta_"
    candles_topic: Annotated[
        bool, Key('publish closed bars to this prefix and "candles" too; see docs/candle.schema.json')
    ] = False
    client_id: Annotated[Line, Key("name of this producer in the broker's logs")] = "feeder-tui"
    acks: Annotated[
        Literal["all", "-1", "1", "0"], Key('replicas that must have a message; "-1" is "all"')
    ] = "all"
    retries: Annotated[
        int, Key(low=0, high=2_147_483_647, ignored="a message is sent again until the broker has it")
    ] = 3
    max_in_flight_requests_per_connection: Annotated[
        int, Key(low=1, high=1_000_000, ignored="a partition has one batch under way, in order")
    ] = 1
    compression_type: Annotated[
        Literal["none", "gzip", "snappy", "lz4", "zstd"], Key("compression of batches")
    ] = "snappy"
    batch_size: Annotated[int, Key("size of one batch", 0, 2_147_483_647, unit="bytes")] = 16_384
    linger_ms: Annotated[int, Key("how long a batch waits to fill", 0, 86_400_000)] = 10
    request_timeout_ms: Annotated[int, Key("how long a request waits for its answer", 1, 86_400_000)] = 30_000
    delivery_timeout_ms: Annotated[
        int, Key("how long a message may take; at least linger_ms + request_timeout_ms", 1, 86_400_000)
    ] = 120_000
    outbox_max_mb: Annotated[
        int, Key("messages of each topic kept on disk while the broker cannot be reached", 1, 1_000_000)
    ] = 512
    security: KafkaSecurity = KafkaSecurity()
