{{ config(materialized='incremental', incremental_strategy=list_strategy(), unique_key='file_name') }}

with listed as (

    {{ landing_files() }}

),

changed as (

    select
        file_name,
        file_size,
        modified_at,
        file_version
    from listed
    {% if flags.EMPTY %}
    where false
    {% elif is_incremental() %}
    where not exists (
            select 1 from {{ this }} as earlier
            where earlier.file_name = listed.file_name and earlier.file_size = listed.file_size
                and earlier.modified_at = listed.modified_at
        )
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
        earlier.file_size,
        earlier.modified_at,
        cast(null as bigint) as file_version,
        cast(null as {{ dbt.type_string() }}) as fault
    from {{ this }} as earlier
    left join listed on earlier.file_name = listed.file_name
    where listed.file_name is null and earlier.fault is not null
    {% endif %}

)

select
    file_name,
    file_size,
    modified_at,
    file_version,
    fault,
    {{ started_at() }} as loaded_at
from judged
