-- Each row of email_unsubscribes is the same event in esp_events, and none with an email's source is left out.
{{ config(meta={'bounded_by': 'event_day'}) }}
{%- set bound = is_under_test(['esp_events', 'email_unsubscribes']) %}

with unsubscribes as (

    select * from {{ ref('email_unsubscribes') }}
    where {{ bound }}

),

esp_events as (

    select * from {{ ref('esp_events') }}
    where event = 'unsubscribe' and {{ bound }}

),

sources as (

    select * from {{ ref('unsubscribe_sources') }}
    where origin = 'email'

),

by_email as (

    select esp_events.*
    from esp_events
    inner join sources on esp_events.unsubscribe_source = sources.unsubscribe_source

)

select
    coalesce(unsubscribes.unique_key, by_email.unique_key) as unique_key,
    coalesce(unsubscribes.event_day, by_email.event_day) as event_day,
    case when by_email.unique_key is null then 'not in esp_events' else 'left out' end as difference
from unsubscribes
full outer join by_email
    on unsubscribes.unique_key = by_email.unique_key
    and unsubscribes.namespace = by_email.namespace
    and unsubscribes.email = by_email.email
    and unsubscribes.nqe = by_email.nqe
    and unsubscribes.event_time = by_email.event_time
where unsubscribes.unique_key is null or by_email.unique_key is null
