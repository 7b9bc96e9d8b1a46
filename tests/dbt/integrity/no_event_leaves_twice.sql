-- No event is in esp_events on two days within webhook_retry_days: a retry after midnight counts on the first day.
{{ config(meta={'bounded_by': 'event_day'}) }}

with tested as (

    select * from {{ ref('esp_events') }}
    where {{ is_under_test(['esp_events']) }}

),

around as (

    select * from {{ ref('esp_events') }}
    where {{ is_under_test(['esp_events'], before=var('webhook_retry_days')) }}

)

select
    tested.unique_key,
    tested.namespace,
    around.event_day as first_day,
    tested.event_day as second_day
from tested
inner join around
    on tested.unique_key = around.unique_key
    and {{ is_retry_of('around.event_day', 'tested.event_day') }}
