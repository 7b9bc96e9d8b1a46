select distinct namespace from {{ source('raw', 'landed') }}
