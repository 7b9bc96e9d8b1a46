-- No event is in esp_events on two days: one that is received again counts on the first. The weekly run, which looks at
-- all days, asks the same of every key, without int_repeat_days.
{{ config(meta={'bounded_by': 'event_day'}) }}

with repeats as (

    select * from {{ ref('int_repeat_days') }}
    where {{ is_under_test(['esp_events']) }}

),

tested as (

    select * from {{ ref('esp_events') }}
    where {{ is_under_test(['esp_events']) }}

),

earlier as (

    select * from {{ ref('esp_events') }}
    where event_day {{ one_of('select seen_on from repeats') }}

)

select
    tested.unique_key,
    tested.namespace,
    tested.event_day,
    earlier.event_day as first_day
from tested
inner join earlier
    on tested.unique_key = earlier.unique_key
    and tested.event_day > earlier.event_day
