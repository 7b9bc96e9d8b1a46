-- Each row of email_unsubscribes is an exported event, and none is left out but those with a source of screens, files
-- or rules.
{{ config(meta={'bounded_by': 'event_day'}) }}
{%- set bound = is_under_test(['email_unsubscribes']) %}

with unsubscribes as (

    select * from {{ ref('email_unsubscribes') }}
    where {{ bound }}

),

email_events as (

    select * from {{ ref('email_events') }}
    where event = 'unsubscribe' and is_exported and {{ bound }}

),

sources as (

    select * from {{ ref('unsubscribe_sources') }}
    where origin <> 'email'

),

by_email as (

    select email_events.*
    from email_events
    left join sources on lower(email_events.unsubscribe_source) = lower(sources.unsubscribe_source)
    where sources.unsubscribe_source is null

)

select
    coalesce(unsubscribes.unique_key, by_email.unique_key) as unique_key,
    coalesce(unsubscribes.event_day, by_email.event_day) as event_day,
    case when by_email.unique_key is null then 'not exported' else 'left out' end as difference
from unsubscribes
full outer join by_email
    on unsubscribes.unique_key = by_email.unique_key
    and unsubscribes.namespace = by_email.namespace
    and unsubscribes.email = by_email.email
    and unsubscribes.nqe = by_email.nqe
    and unsubscribes.event_time = by_email.event_time
where unsubscribes.unique_key is null or by_email.unique_key is null
