{{ config(materialized='view') }}
select *, cast(event_time as date) as event_day from {{ ref('thin') }}
