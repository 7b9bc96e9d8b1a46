select cast(event_time as date) as event_day, max(landed_at) as loaded_at from {{ source('raw', 'landed') }} group by 1
