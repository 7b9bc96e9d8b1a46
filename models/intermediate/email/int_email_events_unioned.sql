{%- set identifying = [
    'namespace', 'email', 'provider_event', 'bounce_type', 'occurred_at', 'provider_message_id', 'smtp_id', 'click_url',
    'user_agent', 'ip_address', 'nqe'
] -%}
{%- set arguments = ['namespace', 'campaign_run_id', 'audience_id', 'variant_id', 'journey_id', 'nqe'] -%}
{%- set own = [
    'source', 'event_id', 'provider_message_id', 'smtp_id', 'email', 'provider_event', 'bounce_type', 'bounce_classification',
    'unsubscribe_group', 'reply_class', 'reason', 'category', 'user_agent', 'ip_address', 'click_url', 'is_machine_open', 'extra_fields',
    'occurred_at', 'received_at', 'event_day', 'payload', 'fault', 'file_name'
] -%}
{%- set line = ['file_name', 'line_number', 'payload'] -%}
{%- set nothing = 'cast(null as ' ~ dbt.type_string() ~ ')' -%}

with posted as (

    select * from {{ ref('int_email_events_posted') }}

),

arguments as (

    select * from {{ ref('int_email_arguments') }}

),

halts as (

    select * from {{ ref('stg_platform__halts') }}

),

unsubscribes as (

    select * from {{ ref('stg_platform__unsubscribes') }}

),

told as (

    select
        {% for argument in arguments %}
        coalesce(posted.{{ argument }}, arguments.{{ argument }}) as {{ argument }},
        {% endfor %}
        {% for column in own %}
        posted.{{ column }},
        {% endfor %}
        posted.line_number
    from posted
    left join arguments
        on posted.event_day = arguments.event_day
        and case when posted.namespace is null then posted.payload end = arguments.payload

),

identified as (

    select
        *,
        {{ surrogate_key(identifying) }} || coalesce(' ' || unsubscribe_group, '') as identity
    from told

)

select
    source,
    case when fault is not null then {{ surrogate_key(line) }} else coalesce(event_id, identity) end as source_id,
    case
        when fault is null and occurred_at is not null and coalesce(provider_message_id, smtp_id) is not null
            then identity
    end as retry_id,
    namespace,
    email,
    provider_event,
    bounce_type,
    bounce_classification,
    unsubscribe_group,
    reply_class,
    {{ nothing }} as unsubscribe_source,
    reason,
    category,
    user_agent,
    click_url,
    is_machine_open,
    campaign_run_id,
    audience_id,
    variant_id,
    journey_id,
    nqe,
    extra_fields,
    -- A clock that knows no time says 1970: what cannot be is as if nobody had said it.
    case when {{ is_possible_time('occurred_at', 'received_at') }} then occurred_at end as occurred_at,
    received_at,
    event_day,
    payload,
    fault,
    file_name,
    line_number
from identified

union all

select
    'platform.halts' as source,
    case
        when fault is not null then {{ surrogate_key(line) }}
        else coalesce(halt_id, {{ surrogate_key(['payload']) }})
    end as source_id,
    {{ nothing }} as retry_id,
    namespace,
    email,
    'halt' as provider_event,
    {{ nothing }} as bounce_type,
    {{ nothing }} as bounce_classification,
    {{ nothing }} as unsubscribe_group,
    {{ nothing }} as reply_class,
    {{ nothing }} as unsubscribe_source,
    reason,
    {{ nothing }} as category,
    {{ nothing }} as user_agent,
    {{ nothing }} as click_url,
    false as is_machine_open,
    campaign_run_id,
    audience_id,
    variant_id,
    journey_id,
    nqe,
    {{ nothing }} as extra_fields,
    received_at as occurred_at,
    received_at,
    event_day,
    payload,
    fault,
    file_name,
    line_number
from halts

union all

select
    'platform.unsubscribes' as source,
    case
        when fault is not null then {{ surrogate_key(line) }}
        else coalesce(unsubscribe_id, {{ surrogate_key(['payload']) }})
    end as source_id,
    {{ nothing }} as retry_id,
    namespace,
    email,
    case
        when campaign_run_id is not null and nqe is not null then 'unsubscribe'
        else 'unsubscribe outside a campaign'
    end as provider_event,
    {{ nothing }} as bounce_type,
    {{ nothing }} as bounce_classification,
    {{ nothing }} as unsubscribe_group,
    {{ nothing }} as reply_class,
    source as unsubscribe_source,
    {{ nothing }} as reason,
    {{ nothing }} as category,
    {{ nothing }} as user_agent,
    {{ nothing }} as click_url,
    false as is_machine_open,
    campaign_run_id,
    {{ nothing }} as audience_id,
    {{ nothing }} as variant_id,
    {{ nothing }} as journey_id,
    nqe,
    {{ nothing }} as extra_fields,
    received_at as occurred_at,
    received_at,
    event_day,
    payload,
    fault,
    file_name,
    line_number
from unsubscribes
