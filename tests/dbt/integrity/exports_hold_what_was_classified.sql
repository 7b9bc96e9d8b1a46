-- Each row classified as exported is in esp_events, each rejected one in rejected_events, and no other row is there.
{{ config(meta={'bounded_by': 'event_day'}) }}
{%- set bound = is_under_test(['int_email_events_classified', 'esp_events', 'rejected_events']) %}

with classified as (

    select * from {{ ref('int_email_events_classified') }}
    where disposition in ('exported', 'rejected') and {{ bound }}

),

esp_events as (

    select * from {{ ref('esp_events') }}
    where {{ bound }}

),

rejected_events as (

    select * from {{ ref('rejected_events') }}
    where {{ bound }}

),

stored as (

    select
        'exported' as disposition,
        namespace,
        event_day,
        unique_key
    from esp_events

    union all

    select
        'rejected' as disposition,
        namespace,
        event_day,
        unique_key
    from rejected_events

)

select
    coalesce(classified.disposition, stored.disposition) as disposition,
    coalesce(classified.event_day, stored.event_day) as event_day,
    coalesce(classified.unique_key, stored.unique_key) as unique_key,
    case when stored.unique_key is null then 'not in its table' else 'not classified so' end as difference
from classified
full outer join stored
    on classified.disposition = stored.disposition
    and classified.event_day = stored.event_day
    and classified.unique_key = stored.unique_key
    and (classified.namespace = stored.namespace or (classified.namespace is null and stored.namespace is null))
where classified.unique_key is null or stored.unique_key is null
