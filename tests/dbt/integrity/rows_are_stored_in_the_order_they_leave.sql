-- Within a day, rows lie in the order of the file, so that the reader need not sort millions of them.
{{ config(enabled=reads_files(), meta={'bounded_by': 'event_day'}) }}

with numbered as (

    select
        event_day,
        namespace,
        event_time,
        unique_key,
        row_number() over (partition by event_day order by {{ stored_position() }}) as stored_at,
        row_number() over (partition by event_day order by namespace, event_time, unique_key) as leaves_at
    from {{ ref('esp_events') }}
    where {{ is_under_test(['esp_events']) }}

)

select
    unique_key,
    event_day,
    stored_at,
    leaves_at
from numbered
where stored_at <> leaves_at
