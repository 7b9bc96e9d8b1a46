{{ config(materialized='incremental', incremental_strategy=list_strategy(), unique_key='file_name') }}

with listed as (

    {{ landing_files() }}

),

changed as (

    select
        file_name,
        file_size,
        modified_at
    from listed
    {% if flags.EMPTY %}
    where false
    {% elif is_incremental() %}
    {{ dbt.except() }}
    select
        file_name,
        file_size,
        modified_at
    from {{ this }}
    {% endif %}

),

judged as (

    select
        *,
        {{ file_fault('file_name') }} as fault
    from changed
    {% if is_incremental() and not flags.EMPTY %}

    union all

    select
        earlier.file_name,
        cast(null as bigint) as file_size,
        earlier.modified_at,
        cast(null as {{ dbt.type_string() }}) as fault
    from {{ this }} as earlier
    left join listed on earlier.file_name = listed.file_name
    where listed.file_name is null and earlier.file_size is not null
    {% endif %}

)

select
    file_name,
    file_size,
    modified_at,
    fault,
    {{ dbt_delivery.started_at() }} as loaded_at
from judged
