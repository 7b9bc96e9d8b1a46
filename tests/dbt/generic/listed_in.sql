{% test listed_in(model, column_name, to, field, key) %}

    with tested as (

        select * from {{ model }}

    ),

    listed as (

        select distinct {{ field }} as listed_value
        from {{ to }}

    )

    select
        tested.*,
        tested.{{ key }} as row_key,
        tested.{{ column_name }} as offending_value
    from tested
    left join listed on tested.{{ column_name }} = listed.listed_value
    where tested.{{ column_name }} is not null and listed.listed_value is null

{% endtest %}
